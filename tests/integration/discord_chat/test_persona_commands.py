"""/persona and /blend: who answers where, who is told, and what free text may do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.chat.wording import STORE_IS_OUT
from bot.discord_chat.commands.persona import MAX_CHOICE_CHARS, MAX_CHOICES
from tests.discord.commands import PNG, admin, registered, use
from tests.discord.rooms import DiscordRoom, discord_room
from tests.running.serving import write_persona

pytestmark = pytest.mark.usefixtures("ready")


async def test_a_persona_that_was_chosen_answers_in_the_channel(room: DiscordRoom):
    said = await use(room, "persona", name="zen")
    assert said.content.startswith("**🧘 Master Zen** answers in this channel from now on.")
    assert "[zen@1] hello" in (await room.ask_and_answer("hello")).content


async def test_the_persona_greets_everybody_with_its_picture(room: DiscordRoom):
    (room.service.personas["zen"].folder / "avatar.png").write_bytes(PNG)
    said = await use(room, "persona", name="zen")
    assert not said.ephemeral
    [card] = said.embeds
    assert (card["title"], card["description"]) == ("🧘 Master Zen", "Hello from Master Zen.")
    assert card["thumbnail"]["url"].startswith("attachment://zen.png")
    assert [attachment["filename"] for attachment in said.attachments] == ["zen.png"]


async def test_a_persona_without_a_picture_greets_all_the_same(room: DiscordRoom):
    said = await use(room, "persona", name="zen")
    assert [card["description"] for card in said.embeds] == ["Hello from Master Zen."]
    assert not said.attachments


async def test_the_narrowest_choice_answers(room: DiscordRoom):
    mod = admin(room)
    thread = await room.ann.starts_thread(room.channel, "a talk")
    answering = []

    async def note() -> None:
        shown = await use(room, "persona", in_=thread)
        answering.append(shown.content.splitlines()[0])

    await note()
    await use(room, "blend", who=mod, spec="codebeard:0.5+zen:0.5", scope="server")
    await note()
    await use(room, "persona", name="zen", scope="channel", in_=thread)
    await note()
    await use(room, "persona", name="base", in_=thread)
    await note()
    await use(room, "persona", name="default", in_=thread)
    await note()
    assert answering == [
        "**🏴 Captain Codebeard** answers here: the bot's default.",
        "**50 % 🏴 Captain Codebeard + 50 % 🧘 Master Zen** answers here: chosen for this server.",
        "**🧘 Master Zen** answers here: chosen for this channel.",
        "**🧊 Base model** answers here: chosen for this thread.",
        "**🧘 Master Zen** answers here: chosen for this channel.",
    ]


async def test_who_may_use_the_command_chooses_for_the_server_too(room: DiscordRoom):
    said = await use(room, "persona", name="zen", scope="server")
    assert said.content.startswith("**🧘 Master Zen** answers in this server from now on.")
    assert "[zen@1] hello" in (await room.ask_and_answer("hello")).content


async def test_who_chooses_for_a_wider_place_is_told_what_goes_first(room: DiscordRoom):
    mod = admin(room)
    await use(room, "persona", name="zen")
    said = await use(room, "persona", who=mod, name="codebeard", scope="server")
    assert "answers in this server from now on" in said.content
    assert "Here, **🧘 Master Zen** answers all the same" in said.content


async def test_giving_up_a_choice_says_who_answers_then(room: DiscordRoom):
    await use(room, "persona", name="zen")
    said = await use(room, "persona", name="default")
    assert said.content.startswith(
        "This channel makes no choice of its own any more. Here, **🏴 Captain Codebeard** answers."
    )
    assert not said.embeds


@pytest.mark.parametrize(("strength", "spec"), [("50%", "zen:0.5"), ("0.25", "zen:0.25"), ("150 %", "zen:1.5")])
async def test_strength_is_a_percentage_or_a_number(room: DiscordRoom, strength: str, spec: str):
    await use(room, "persona", name="zen", strength=strength)
    await room.ask_and_answer("hello")
    [exchange] = await room.exchanges()
    assert exchange.model == spec


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("persona", {"name": "@everyone"}, 'There is no persona "@everyone"; the installed ones are codebeard, zen.'),
        ("persona", {"name": "zen", "strength": "a lot"}, '"a lot" is no strength; write a percentage such as 50%'),
        ("blend", {"spec": "zen:0.5+nana:0.5"}, "the installed ones are codebeard, zen"),
        ("blend", {"spec": "zen:9"}, "use a number above 0 and up to 2"),
        ("persona", {"name": "zen", "scope": "thread"}, "There is no thread here"),
    ],
)
async def test_what_cannot_be_chosen_is_said_in_a_sentence_to_the_asker_alone(
    room: DiscordRoom, command: str, options: dict[str, str], sentence: str
):
    said = await use(room, command, **options)
    assert sentence in said.content
    assert said.only_for is room.ann
    assert (await use(room, "persona")).content.startswith("**🏴 Captain Codebeard** answers here: the bot's default.")


async def test_only_the_asker_sees_who_answers(room: DiscordRoom):
    assert (await use(room, "persona")).only_for is room.ann


async def test_a_direct_message_has_a_persona_of_its_own(room: DiscordRoom):
    dm = await room.ann.opens_dm()
    said = await use(room, "persona", in_=dm, name="zen")
    assert said.content.startswith("**🧘 Master Zen** answers in our direct messages from now on.")
    assert (await use(room, "persona")).content.startswith("**🏴 Captain Codebeard** answers here")


async def test_autocomplete_previews_and_offers_what_else_can_be_chosen(room: DiscordRoom):
    offered = await room.ann.types("persona", "name", "", in_=room.channel)
    assert [choice.value for choice in offered] == ["codebeard", "zen", "base", "default"]
    assert offered[1].name == "🧘 Master Zen · The voice of Master Zen."
    assert [choice.value for choice in await room.ann.types("persona", "name", "mast", in_=room.channel)] == ["zen"]


async def test_autocomplete_completes_strengths_and_blends(room: DiscordRoom):
    strengths = await room.ann.types("persona", "strength", "", in_=room.channel, name="zen")
    assert [choice.value for choice in strengths] == ["25%", "50%", "75%", "100%", "150%"]
    blends = await room.ann.types("blend", "spec", "zen:0.7+co", in_=room.channel)
    assert [choice.value for choice in blends] == ["zen:0.7+codebeard:0.5"]


async def test_what_autocomplete_offers_is_accepted(room: DiscordRoom):
    for choice in await room.ann.types("persona", "name", "", in_=room.channel):
        assert not (await use(room, "persona", name=str(choice.value))).ephemeral


async def test_a_crowd_of_personas_is_offered_within_discords_limits(tmp_path: Path):
    for number in range(40):
        write_persona(
            tmp_path / "other" / "personas" / f"p{number}", f"Persona {number} " + "with a long name " * 3, "🎭"
        )
    async with discord_room(tmp_path / "other") as crowd:
        await registered(crowd)
        offered = await crowd.ann.types("persona", "name", "p", in_=crowd.channel)
        assert len(offered) <= MAX_CHOICES
        assert all(len(choice.name) <= MAX_CHOICE_CHARS for choice in offered)
        found = await crowd.ann.types("persona", "name", "p39", in_=crowd.channel)
        assert [choice.value for choice in found] == ["p39"]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("persona", {}),
        ("persona", {"name": "zen"}),
        ("blend", {"spec": "zen:0.5"}),
        ("personas", {}),
        ("ask", {"question": "ahoy"}),
        ("reset", {}),
        ("privacy", {}),
        ("mydata", {}),
        ("forget", {}),
        ("consent", {}),
        ("settings", {}),
    ],
)
async def test_every_command_is_acknowledged_while_the_store_is_busy(
    room: DiscordRoom, command: str, options: dict[str, str]
):
    mod = admin(room)
    async with room.service.store.write():  # SQLite's only turn
        interaction = await mod.uses(command, in_=room.channel, **options)
        await interaction.wait_acknowledged()
    assert (await interaction.wait_reply()).text or interaction.replies[0].embeds


async def test_a_store_out_of_order_is_said_without_the_servers_paths(tmp_path: Path):
    database = tmp_path / "personas.db"
    async with discord_room(tmp_path / "other", database_url=f"sqlite:///{database}?timeout=0.01") as locked:
        await registered(locked)
        with closing(sqlite3.connect(database, isolation_level=None)) as other_program:
            other_program.execute("BEGIN EXCLUSIVE")
            said = await use(locked, "persona", name="zen")
        assert said.content == STORE_IS_OUT
        assert "answers in this channel" in (await use(locked, "persona", name="zen")).content
