"""What people are told about their data, in plain words, from the settings that decide it. Knows no platform."""

from __future__ import annotations

from bot.chat.platform import Capabilities
from core.settings import Settings
from core.store.data_rights import Forgotten

FORGET_WARNING = (
    "This erases everything kept about you: your words and the answers to them, your thumbs, your picks, your better"
    " answers and your consent. What remains is nobody's: that some answer was given, by which adapter version."
    " It cannot be undone. `/mydata` gives you a copy first."
)


def privacy(settings: Settings, platform: Capabilities) -> str:
    """What is kept, why, how long, and what can be done about it."""
    wide = platform.wide_place
    return "\n".join(
        (
            "**What this bot keeps, and why**",
            f"- **Of every answer**: your {platform.name} id, the ids of the messages, channel and {wide},"
            " which persona and adapter version answered, and when. So one message is answered once, and"
            " thumbs find their answer.",
            "- **Your thumbs and picks**, without any text: they decide which adapter version answers.",
            f"- **Your words and the answers**: only if you said yes in `/consent` and, in a {wide}, if it allows"
            " that. Otherwise they pass through memory while a conversation goes on and are never written down.",
            "- **A better answer** that you write on purpose, with your id.",
            "",
            "**How long**",
            f"- Text: as long as you agree. Your no erases it at once. A better answer goes {_days(settings)} after it"
            " was written, unless you agree.",
            f"- The rest: until `/forget`. If you delete a message, or the bot leaves a {wide}, that text goes too.",
            "",
            f"**Training**: {_training(settings, platform)}",
            "",
            "`/mydata` shows everything, `/forget` erases it, `/consent` is your yes or no.",
            f"For anything else, ask {_operator(settings)}; they alone can see what it keeps.",
        )
    )


def consent(
    settings: Settings, platform: Capabilities, *, version: int, has_agreed: bool, is_text_kept_here: bool | None
) -> str:
    """What a yes means. `is_text_kept_here` is the server's own decision; None where there is no server."""
    wide = platform.wide_place
    here = {
        None: "In our direct messages, your yes is enough.",
        True: f"This {wide} allows it.",
        False: _NOT_HERE.format(wide),
    }
    return "\n".join(
        (
            f"**May your words be kept?** (version {version})",
            "You have said **yes**." if has_agreed else "It is **off** until you say yes.",
            "- **What**: what you write to this bot, and its answers.",
            f"- **Why**: to make the personas better. {_training(settings, platform)}",
            "- **How long**: until you withdraw here, or use `/forget`. If these terms change, you are asked again,"
            f" and without a new yes the text goes within {_days(settings)}.",
            "- **How to withdraw**: the button below, at any time. It erases what was kept.",
            f"- **Where**: {here[is_text_kept_here]}",
            "The bot answers you just the same either way.",
        )
    )


def forgotten(done: Forgotten, settings: Settings) -> str:
    """What was erased, which adapter versions learned from this person, and what can be done about those."""
    counts = (
        (done.exchanges, "question", "questions"),
        (done.feedback, "thumb", "thumbs"),
        (done.preferences, "pick", "picks"),
        (done.corrections, "better answer", "better answers"),
    )
    erased = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)
    answer = f"You are forgotten: {erased or 'there was nothing'}."
    if not done.versions:
        return f"{answer} No adapter version was trained on anything of yours."
    return (
        f"{answer}\nThese adapter versions were trained on something of yours: **{', '.join(done.versions)}**. What"
        f" they learned stays in them until new versions are trained without it: ask {_operator(settings)} for that."
    )


_NOT_HERE = "This {} does not allow it, so nothing is kept here even with your yes."


def _training(settings: Settings, platform: Capabilities) -> str:
    """What trains where this platform's text may, and where not. A yes is asked for either: the operator may get the
    permission later, and what people agreed to must cover that."""
    name = platform.name
    taught = (
        "answers that somebody judged, with their questions, and better answers teach new versions, if everybody"
        " whose words they hold said yes"
    )
    if platform.source in settings.allowed_training_sources:
        return f"Whoever runs this bot has recorded {name}'s permission to train on its text. So {taught}."
    return (
        f"Text from {name} is held back from training, as {name}'s rules ask for, and nothing said or judged here"
        f" trains anything. If whoever runs this bot records {name}'s permission, {taught}."
    )


def _operator(settings: Settings) -> str:
    return settings.contact or "whoever runs this bot"


def _days(settings: Settings) -> str:
    return "a day" if settings.keep_text_days == 1 else f"{settings.keep_text_days} days"
