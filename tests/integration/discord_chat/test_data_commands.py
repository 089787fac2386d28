"""/privacy, /mydata, /forget and /consent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bot.discord_chat.commands.data import _as_file
from core.errors import InvalidInput
from core.store import consent, places
from core.store.consent import CONSENT_VERSION
from core.store.models import TrainingExample
from tests.discord.commands import press, registered, use
from tests.discord.rooms import DiscordRoom, connected, discord_room
from tests.fakes.fake_discord.people import Person

pytestmark = pytest.mark.usefixtures("ready")
YES, NO = f"data:give:{CONSENT_VERSION}", f"data:withdraw:{CONSENT_VERSION}"


async def allow_text(room: DiscordRoom) -> None:
    async with room.service.store.write() as session:
        guild = room.channel.guild
        assert guild is not None
        await places.change(session, f"discord:guild:{guild.id}", source="discord", is_text_kept=True)


async def agrees(room: DiscordRoom, person: Person) -> bool:
    async with room.service.store.write() as session:
        return await consent.has(session, f"discord:{person.id}")


async def test_privacy_names_what_is_kept_and_how_long(tmp_path: Path):
    async with discord_room(tmp_path / "other", keep_text_days=7) as room:
        await registered(room)
        said = await use(room, "privacy")
    assert said.only_for is room.ann
    assert "7 days" in said.content
    assert "nothing said or judged here trains anything. If whoever runs this bot records" in said.content
    assert all(command in said.content for command in ("/consent", "/mydata", "/forget"))


async def test_privacy_says_whom_to_ask(tmp_path: Path):
    async with discord_room(tmp_path / "other", contact="Ida, ida@harbour.example") as room:
        await registered(room)
        said = await use(room, "privacy")
    assert "For anything else, ask Ida, ida@harbour.example; they alone" in said.content


async def test_privacy_says_when_the_operator_has_discords_permission_to_train(tmp_path: Path):
    async with discord_room(tmp_path / "other", training_sources="playground,discord") as room:
        await registered(room)
        said = await use(room, "privacy")
    assert "has recorded Discord's permission to train on its text. So answers that somebody judged" in said.content


async def test_my_data_is_a_file_for_me_alone(room: DiscordRoom):
    await room.ask_and_answer("hello")
    said = await use(room, "mydata")
    assert said.only_for is room.ann
    [attachment] = said.attachments
    assert attachment["filename"] == "mydata.json"
    [content] = room.fake.world.uploads.values()
    data = json.loads(content)
    [exchange] = data["exchanges"]
    assert (data["user_id"], exchange["model"], exchange["prompt"]) == (f"discord:{room.ann.id}", "codebeard", None)


async def test_data_of_others_is_not_in_the_file(room: DiscordRoom):
    await room.ask_and_answer("hello")
    await use(room, "mydata", who=room.fake.add_person("bob"))
    [content] = room.fake.world.uploads.values()
    assert json.loads(content)["exchanges"] == []


def test_a_large_file_is_compressed_and_a_larger_one_refused():
    found = {"exchanges": ["the same words"] * 1000}
    content = json.dumps(found).encode()
    packed = _as_file(content, 1000)
    assert packed.filename == "mydata.json.gz"
    assert json.loads(gzip.decompress(packed.fp.read())) == found
    with pytest.raises(InvalidInput, match="larger than Discord takes"):
        _as_file(content, 10)


async def test_forgetting_asks_first_and_can_be_called_off(room: DiscordRoom):
    await room.ask_and_answer("hello")
    card = await use(room, "forget")
    assert card.only_for is room.ann
    assert await press(room, card, "Keep it") == "Nothing was erased."
    assert not card.buttons
    assert [exchange.user_id for exchange in await room.exchanges()] == [f"discord:{room.ann.id}"]


async def test_forgetting_erases_the_person_and_keeps_the_ledger(room: DiscordRoom):
    bob = room.fake.add_person("bob")
    await room.ask_and_answer("hello")
    await room.ask_and_answer("ahoy", who=bob)
    card = await use(room, "forget")
    said = await press(room, card, "Erase everything")
    assert said == "You are forgotten: 1 question. No adapter version was trained on anything of yours."
    assert sorted(exchange.user_id for exchange in await room.exchanges()) == ["", f"discord:{bob.id}"]
    again = await press(room, await use(room, "forget"), "Erase everything")
    assert again.startswith("You are forgotten: there was nothing.")


async def test_forgetting_lists_the_adapter_versions_it_touches(room: DiscordRoom):
    await room.ask_and_answer("hello")
    [exchange] = await room.exchanges()
    async with room.service.store.write() as session:
        for slug in ("codebeard", "zen"):
            session.add(TrainingExample(exchange_id=exchange.id, persona=slug, base_model="smollm2", version=1))
    said = await press(room, await use(room, "forget"), "Erase everything")
    assert "**codebeard@1, zen@1**" in said
    assert "until new versions are trained without it: ask whoever runs this bot for that." in said


async def test_consent_is_off_until_the_button_is_pressed(room: DiscordRoom):
    card = await use(room, "consent")
    assert card.only_for is room.ann
    assert "It is **off** until you say yes." in card.content
    assert not await agrees(room, room.ann)
    assert "You have said **yes**." in await press(room, card, YES)
    assert await agrees(room, room.ann)
    assert "It is **off**" in await press(room, card, NO)
    assert not await agrees(room, room.ann)


async def test_the_consent_card_says_whether_the_server_allows_it(room: DiscordRoom):
    assert "This server does not allow it" in (await use(room, "consent")).content
    await allow_text(room)
    assert "This server allows it." in (await use(room, "consent")).content
    dm = await room.ann.opens_dm()
    assert "your yes is enough" in (await use(room, "consent", in_=dm)).content


@pytest.mark.parametrize(("does_server_allow", "has_agreed"), [(True, True), (True, False), (False, True)])
async def test_text_is_kept_only_where_person_and_server_agree(
    room: DiscordRoom, does_server_allow: bool, has_agreed: bool
):
    if does_server_allow:
        await allow_text(room)
    if has_agreed:
        await press(room, await use(room, "consent"), YES)
    await room.ask_and_answer("hello")
    [exchange] = await room.exchanges()
    is_kept = does_server_allow and has_agreed
    assert [exchange.prompt is not None, exchange.reply is not None] == [is_kept, is_kept]


async def test_a_withdrawn_yes_erases_what_was_kept(room: DiscordRoom):
    await allow_text(room)
    card = await use(room, "consent")
    await press(room, card, YES)
    await room.ask_and_answer("hello")
    await press(room, card, NO)
    [exchange] = await room.exchanges()
    assert [exchange.prompt, exchange.reply] == [None, None]


async def test_a_yes_to_older_terms_shows_the_present_ones_and_is_no_yes(room: DiscordRoom):
    card = await use(room, "consent")
    [button] = card.buttons
    button["custom_id"] = "data:give:0"
    interaction = await room.ann.presses(card, "data:give:0")
    await interaction.wait_acknowledged()
    await room.fake.wait_for(lambda: card.buttons[0]["custom_id"] == YES)
    assert not await agrees(room, room.ann)


async def test_the_buttons_work_after_a_restart(room: DiscordRoom):
    forget, agree = await use(room, "forget"), await use(room, "consent")
    await room.ask_and_answer("hello")
    await room.chat.close()
    async with connected(room.fake, room.service):
        assert "You have said **yes**." in await press(room, agree, YES)
        assert "You are forgotten" in await press(room, forget, "Erase everything")
        assert not await agrees(room, room.ann)


async def test_rights_reach_as_far_as_the_questions_do(room: DiscordRoom):
    await room.ann.installs_the_app()
    elsewhere = room.fake.add_guild("elsewhere", with_bot=False).add_channel("general")
    for command in ("privacy", "mydata", "forget", "consent"):
        assert (await use(room, command, in_=elsewhere)).only_for is room.ann
