"""The gateway's life: broken lines, forgotten sessions, doubled events, shards."""

from __future__ import annotations

import asyncio

import discord

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.conftest import Start
from tests.integration.fakes.small_bot import SmallBot
from tests.running.patience import TIMEOUT_S


async def test_what_happens_while_the_line_is_down_is_replayed(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    fake.gateway.hold()
    await fake.gateway.drop()
    for number in range(3):
        await ann.says(channel, str(number), mentions_bot=True)
    fake.gateway.release()
    assert [(await bot.hear("message")).content[-1] for _ in range(3)] == ["0", "1", "2"]
    await fake.gateway.wait_resumed()
    await fake.gateway.ask_reconnect()
    await fake.gateway.wait_resumed(2)
    await fake.gateway.invalidate(resumable=True)
    await fake.gateway.wait_resumed(3)
    assert fake.gateway.identified == 1
    await ann.says(channel, "still there?", mentions_bot=True)
    assert (await bot.hear("message")).content.endswith("still there?")


async def test_a_session_that_is_forgotten_begins_anew(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    fake.gateway.forget_sessions()
    await fake.gateway.drop()
    await bot.hear("ready")
    assert (fake.gateway.identified, fake.gateway.resumed) == (2, 0)
    await fake.gateway.invalidate()
    await bot.hear("ready")
    await ann.says(channel, "again", mentions_bot=True)
    assert (await bot.hear("message")).content.endswith("again")


async def test_events_arrive_twice_at_will(fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot) -> None:
    fake.gateway.duplicate("*")
    await ann.says(channel, "echo", mentions_bot=True)
    assert len({(await bot.hear("message")).id for _ in range(2)}) == 1
    fake.gateway.duplicate("INTERACTION_CREATE")
    used = await ann.uses("persona", channel, name="zen")
    failed = await asyncio.wait_for(bot.failed.get(), TIMEOUT_S)
    assert isinstance(failed, discord.HTTPException) and failed.code == 40060
    assert len(used.replies) == 1


async def test_shards_share_the_guilds(fake: FakeDiscord, ann: Person, start: Start) -> None:
    fake.world.shards = 2
    channels = [fake.add_guild(f"guild {number}").add_channel("talk") for number in range(3)]
    bot = await start()
    assert fake.gateway.identified == 2
    for channel in channels:
        await ann.says(channel, "here", mentions_bot=True)
        assert (await bot.hear("message")).channel.id == channel.id
    assert fake.gateway.heartbeats >= 2
