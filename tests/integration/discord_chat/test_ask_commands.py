"""/ask, "Ask a persona about this" and /reset."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.chat.ask_about import ANYBODY, NO_WORDS
from bot.discord_chat.commands.persona import MAX_CHOICES
from bot.discord_chat.history import RESET_LINE
from core.store import consent, places
from core.store.models import Exchange
from tests.discord.commands import ABOUT, admin, registered, use
from tests.discord.rooms import DiscordRoom, discord_room
from tests.fakes.fake_discord.interactions import Interaction
from tests.fakes.fake_discord.messages import Message
from tests.running.serving import write_persona

pytestmark = pytest.mark.usefixtures("ready")


async def answered(room: DiscordRoom, interaction: Interaction) -> tuple[Exchange, Message]:
    """The one exchange of an interaction, and the message that shows it to its end."""
    await interaction.wait_reply()
    found: list[Exchange] = []
    while not found or found[0].finished_at is None:
        found = await room.exchanges(event_id=f"interaction:{interaction.id}")
    await room.chat.parts.chat.replies.ended(found[0].id)
    [shown] = interaction.replies
    return found[0], shown


async def test_a_question_is_answered_below_the_command(room: DiscordRoom):
    interaction = await room.ann.uses("ask", in_=room.channel, question="what is a list?")
    exchange, shown = await answered(room, interaction)
    assert shown.content == "**🏴 Captain Codebeard**\n[codebeard@1] what is a list?"
    assert not shown.ephemeral
    assert (exchange.source, exchange.user_id) == ("discord", f"discord:{room.ann.id}")


async def test_the_persona_of_the_channel_answers_unless_another_is_named(room: DiscordRoom):
    await use(room, "persona", name="zen")
    _exchange, shown = await answered(room, await room.ann.uses("ask", in_=room.channel, question="who?"))
    assert "[zen@1]" in shown.content
    named = await room.ann.uses("ask", in_=room.channel, question="who?", persona="Captain Codebeard")
    assert "[codebeard@1]" in (await answered(room, named))[1].content


async def test_the_option_autocompletes(room: DiscordRoom):
    offered = await room.ann.types("ask", "persona", "z", in_=room.channel, question="who?")
    assert [choice.value for choice in offered] == ["zen"]


async def test_a_private_answer_is_seen_by_the_asker_alone(room: DiscordRoom):
    interaction = await room.ann.uses("ask", in_=room.channel, question="psst", private=True)
    _exchange, shown = await answered(room, interaction)
    assert shown.only_for is room.ann


async def test_an_unknown_persona_is_said_in_private(room: DiscordRoom):
    said = await use(room, "ask", question="who?", persona="nobody")
    assert said.content == 'There is no persona "nobody"; the installed ones are codebeard, zen.'
    assert said.only_for is room.ann


async def test_the_answer_has_the_buttons_under_it(room: DiscordRoom):
    interaction = await room.ann.uses("ask", in_=room.channel, question="ahoy")
    _exchange, shown = await answered(room, interaction)
    await room.fake.wait_for(lambda: [button["emoji"]["name"] for button in shown.buttons][:2] == ["👍", "👎"])


async def test_who_installed_the_bot_asks_where_it_is_no_member(room: DiscordRoom):
    await room.ann.installs_the_app()
    elsewhere = room.fake.add_guild("elsewhere", with_bot=False).add_channel("general")
    interaction = await room.ann.uses("ask", in_=elsewhere, question="ahoy")
    _exchange, shown = await answered(room, interaction)
    assert shown.content.endswith("[codebeard@1] ahoy")


async def test_who_installed_the_bot_asks_between_two_people(room: DiscordRoom):
    await room.ann.installs_the_app()
    bob = room.fake.add_person("bob")
    between = room.fake.dm_between(room.ann, bob)
    _exchange, shown = await answered(room, await room.ann.uses("ask", in_=between, question="ahoy"))
    assert shown.content.endswith("[codebeard@1] ahoy")


async def test_an_answer_that_outlives_its_token_where_the_bot_is_no_member_comes_as_a_direct_message(
    room: DiscordRoom,
):
    await room.ann.installs_the_app()
    elsewhere = room.fake.add_guild("elsewhere", with_bot=False).add_channel("general")
    room.gate.close()
    interaction = await room.ann.uses("ask", in_=elsewhere, question="ahoy")
    await room.gate.wait_until_held()
    interaction.expire()
    room.gate.open()
    dm = await room.ann.opens_dm()
    await dm.wait_for(lambda messages: [one for one in messages if one.content.endswith("[codebeard@1] ahoy")])


async def test_a_message_is_asked_about_with_its_words(room: DiscordRoom):
    bob = room.fake.add_person("bob")
    message = await bob.says(room.channel, "my tests fail at night")
    opened = await room.ann.uses_on(message, ABOUT)
    interaction = await room.ann.submits(opened, **{"Your question": "Why?", "Who answers?": ["zen"]})
    _exchange, shown = await answered(room, interaction)
    assert shown.content == "**🧘 Master Zen**\n[zen@1] Bob wrote:\n\nmy tests fail at night\n\nWhy?"


async def test_whoever_answers_in_the_channel_answers_unless_somebody_else_is_chosen(room: DiscordRoom):
    await use(room, "persona", name="zen")
    message = await room.fake.add_person("bob").says(room.channel, "my tests fail")
    opened = await room.ann.uses_on(message, ABOUT)
    fields = (await opened.wait_modal())["components"]
    [first, *personas] = fields[1]["component"]["options"]
    assert (first["label"], first["default"]) == (ANYBODY, True)
    assert [(option["value"], option.get("default", False)) for option in personas] == [
        ("codebeard", False),
        ("zen", False),
    ]
    interaction = await room.ann.submits(opened, **{"Your question": "Why?", "Who answers?": [first["value"]]})
    _exchange, shown = await answered(room, interaction)
    assert shown.content.startswith("**🧘 Master Zen**\n[zen@1] Bob wrote:")


@pytest.mark.parametrize(("count", "kind"), [(MAX_CHOICES - 1, 3), (MAX_CHOICES, 4)])
async def test_more_personas_than_a_list_holds_are_typed(tmp_path: Path, count: int, kind: int):
    for number in range(count - 2):
        write_persona(tmp_path / "other" / "personas" / f"p{number}", f"Persona {number}", "🎭")
    async with discord_room(tmp_path / "other") as crowd:
        await registered(crowd)
        assert len(crowd.service.personas) == count
        await use(crowd, "persona", name="zen")
        opened = await crowd.ann.uses_on(await crowd.ann.says(crowd.channel, "my tests fail"), ABOUT)
        field = (await opened.wait_modal())["components"][1]["component"]
        assert field["type"] == kind  # a list, or a field to type into
        chosen = {"Who answers?": ["*"]} if kind == 3 else {}
        interaction = await crowd.ann.submits(opened, **{"Your question": "Why?", **chosen})
        assert (await answered(crowd, interaction))[1].content.startswith("**🧘 Master Zen**")


async def test_a_message_without_words_opens_no_form(room: DiscordRoom):
    message = await room.ann.says(room.channel, "", files={"cat.png": b"a picture"})
    interaction = await room.ann.uses_on(message, ABOUT)
    said = await interaction.wait_reply()
    assert (said.content, said.only_for) == (NO_WORDS, room.ann)


@pytest.mark.parametrize("has_bob_agreed", [False, True])
async def test_words_of_others_are_kept_only_if_they_agreed_too(room: DiscordRoom, has_bob_agreed: bool):
    bob = room.fake.add_person("bob")
    assert room.channel.guild is not None
    async with room.service.store.write() as session:
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        if has_bob_agreed:
            await consent.give(session, f"discord:{bob.id}", source="discord")
    opened = await room.ann.uses_on(await bob.says(room.channel, "my secret"), ABOUT)
    fields = {"Your question": "Why?", "Who answers?": ["zen"]}
    exchange, _shown = await answered(room, await room.ann.submits(opened, **fields))
    assert (exchange.prompt is not None) is has_bob_agreed


async def test_a_reset_is_seen_by_all_and_ends_the_conversation(room: DiscordRoom):
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
    dm = await room.ann.opens_dm()
    await room.answer(await room.ann.says(dm, "one"))
    before = await room.ended(await room.ann.says(dm, "two"))
    said = await use(room, "reset", in_=dm)
    after = await room.ended(await room.ann.says(dm, "three"))
    assert said.content == RESET_LINE
    assert not said.ephemeral
    assert [turn["content"] for turn in before.prompt or ()] == ["one", "[codebeard@1] one", "two"]
    assert [turn["content"] for turn in after.prompt or ()] == ["three"]


async def test_a_question_is_answered_once_however_often_discord_sends_it(room: DiscordRoom):
    room.fake.gateway.duplicate("*")
    interaction = await admin(room).uses("ask", in_=room.channel, question="ahoy")
    await answered(room, interaction)
    assert len(await room.exchanges()) == 1
