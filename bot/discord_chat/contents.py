"""Everything that can be read in a Discord message: its text, cards, poll, and what it forwards; and what cannot."""

from __future__ import annotations

from collections.abc import Iterator

import discord

from bot.chat.conversation import FILES_UNREAD
from bot.discord_chat.wording import plain_of, text_of

VOICE_UNREAD = "I cannot listen to voice messages; write what it says."
STICKERS_UNREAD = "I cannot see stickers."


def words_of(message: discord.Message, own_id: int) -> str:
    """What the author of a message wrote into it, in whatever form."""
    poll = [] if message.poll is None else [_poll_words(message.poll)]
    return "\n\n".join(filter(None, (text_of(message, own_id), *_card_words(message.embeds), *poll)))


def forwarded_words(message: discord.Message) -> str:
    """What somebody else wrote whose message this one forwards."""
    found = ((plain_of(one.content), *_card_words(one.embeds)) for one in message.message_snapshots)
    return "\n\n".join(filter(None, (part for parts in found for part in parts)))


def unread_in(message: discord.Message) -> tuple[str, ...]:
    """What stands in a message that no text says, as sentences for the person who asks."""
    pieces: list[discord.Message | discord.MessageSnapshot] = [message, *message.message_snapshots]
    files = [file for piece in pieces for file in piece.attachments]
    due = {
        VOICE_UNREAD: any(file.is_voice_message() for file in files),
        FILES_UNREAD: any(not file.is_voice_message() for file in files),
        STICKERS_UNREAD: any(piece.stickers for piece in pieces),
    }
    return tuple(sentence for sentence, is_due in due.items() if is_due)


def _card_words(embeds: list[discord.Embed]) -> Iterator[str]:
    """The words of cards that somebody wrote; what Discord unfolds from a link is nobody's."""
    for embed in embeds:
        if embed.type != "rich":
            continue
        fields = (f"{field.name}\n{field.value}" for field in embed.fields)
        lines = (embed.author.name, embed.title, embed.description, *fields, embed.footer.text)
        yield plain_of("\n".join(filter(None, lines)))


def _poll_words(poll: discord.Poll) -> str:
    answers = (f"- {answer.text or answer.emoji or ''}" for answer in poll.answers)
    return "\n".join((f"Poll: {poll.question}", *answers))
