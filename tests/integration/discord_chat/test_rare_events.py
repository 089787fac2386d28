"""What Discord seldom sends: super-reactions, no room for another webhook, an event that makes no sense."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from discord.backoff import ExponentialBackoff

from bot.discord_chat.buttons import AGAIN
from core.store import places
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.webhooks import Webhook

HEADER = "**🏴 Captain Codebeard**\n"
MAX_WEBHOOKS = 15


async def answered(room: DiscordRoom) -> Message:
    """An answer that stands."""
    answer = await room.ask_and_answer("good morning")
    await room.channel.wait_for(lambda _: AGAIN in str(answer.buttons))
    return answer


async def noted(room: DiscordRoom, marks: dict[Person, bool]) -> None:
    async def is_noted() -> bool:
        return await room.marks() == marks

    await room.until(is_noted)


async def test_a_super_reaction_is_a_thumb_like_any_other_and_goes_with_it(room: DiscordRoom):
    answer = await answered(room)
    await room.ann.reacts(answer, "👎", burst=True)
    await noted(room, {room.ann: False})
    await room.ann.unreacts(answer, "👎", burst=True)
    await noted(room, {})


async def test_who_gave_a_thumb_twice_keeps_it_as_long_as_either_stands(room: DiscordRoom):
    answer = await answered(room)
    ben = room.fake.add_person("ben")
    await room.ann.reacts(answer, "👍")
    await room.ann.reacts(answer, "👍", burst=True)
    await ben.reacts(answer, "👍")
    await noted(room, {room.ann: True, ben: True})
    await room.ann.unreacts(answer, "👍")
    await ben.unreacts(answer, "👍")
    await noted(room, {room.ann: True})
    await room.ann.unreacts(answer, "👍", burst=True)
    await noted(room, {})


async def test_a_moderators_sweep_takes_super_reactions_too(room: DiscordRoom):
    answer = await answered(room)
    mod = room.fake.add_person("mod")
    room.channel.guild.grant(mod, "manage_messages")
    await room.ann.reacts(answer, "👍", burst=True)
    await noted(room, {room.ann: True})
    await mod.clears_reactions(answer)
    await noted(room, {})


def add_webhooks(room: DiscordRoom, count: int) -> None:
    """Webhooks that others made in the channel."""
    world = room.fake.world
    for number in range(count):
        webhook = Webhook(world.next_id(), f"token{number}", room.channel, f"news {number}", room.ann)
        world.webhooks[webhook.id] = webhook


async def show_as_webhook(room: DiscordRoom, **model: str) -> None:
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity="webhook")
        if model:
            await places.set_model(session, f"discord:channel:{room.channel.id}", source="discord", **model)


async def test_where_others_webhooks_fill_the_channel_the_header_stays_and_the_reason_is_told_once(room: DiscordRoom):
    add_webhooks(room, MAX_WEBHOOKS)
    await show_as_webhook(room)
    answer = await room.ask_and_answer("good morning")
    assert answer.content == HEADER + "[codebeard@1] good morning"
    await room.ask_and_answer("and again")
    reasons = [message.content for message in room.channel.from_bot if "refuses another webhook" in message.content]
    assert reasons == [
        "-# I cannot show Captain Codebeard's own name and picture here: Discord refuses another webhook (code 30007)."
        " Until then I answer under my own name."
    ]


async def test_where_the_channel_is_full_one_of_the_bots_own_webhooks_changes_its_face(room: DiscordRoom):
    add_webhooks(room, MAX_WEBHOOKS - 1)
    await show_as_webhook(room)
    assert (await room.ask_and_answer("good morning")).author.name == "Captain Codebeard"
    await show_as_webhook(room, model="zen")
    answer = await room.ask_and_answer("breathe")
    assert (answer.content, answer.author.name) == ("[zen@1] breathe", "Master Zen")
    assert [webhook.name for webhook in room.fake.webhooks if webhook.owned_by_bot] == ["Master Zen"]
    await show_as_webhook(room, model="codebeard")
    assert (await room.ask_and_answer("and again")).author.name == "Captain Codebeard"
    assert len(room.fake.webhooks) == MAX_WEBHOOKS


@pytest.mark.parametrize(
    ("event", "nonsense"),
    [
        ("MESSAGE_CREATE", {"id": "not a number", "channel_id": None}),
        ("INTERACTION_CREATE", {"id": "1"}),
        ("MESSAGE_REACTION_ADD", {"emoji": None}),
        ("GUILD_CREATE", {}),
    ],
)
async def test_an_event_that_cannot_be_read_is_logged_and_the_bot_goes_on(
    room: DiscordRoom,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    event: str,
    nonsense: dict[str, Any],
):
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 0.0)
    await room.ask_and_answer("before")
    room.fake.gateway.emit(event, nonsense, channel=room.channel)
    await room.fake.wait_for(lambda: room.fake.gateway.identified == 2)
    answer = await room.ask_and_answer("after")
    assert answer.content == HEADER + "[codebeard@1] after"
    assert any("it is opened again" in record.message for record in caplog.records if record.levelno == logging.ERROR)
    assert len(await room.exchanges()) == 2
