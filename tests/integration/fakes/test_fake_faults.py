"""What the fake refuses as Discord does, and what goes wrong at will."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import discord
import pytest

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.rate_limits import Bucket
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.small_bot import SmallBot, refused, there
from tests.running.patience import TIMEOUT_S


async def test_what_discord_refuses_is_refused(
    fake: FakeDiscord, guild: Guild, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    here = await there(bot, channel)
    sent = await here.send("soon gone")
    said = await ann.says(channel, "mine")
    assert await refused(here.get_partial_message(said.id).edit(content="yours")) == 50005
    assert await refused(here.get_partial_message(said.id).delete()) == 50013
    await ann.says(channel, "keep")
    guild.grant(ann, "manage_messages")
    await ann.deletes(channel.from_bot[0])
    for gone in (sent.edit(content="?"), sent.add_reaction("👍"), here.fetch_message(sent.id)):
        assert await refused(gone) == 10008
    assert await refused(here.send("a reply", reference=sent)) == 50035
    assert await refused(here.send("x" * 2001)) == 50035
    assert await refused(here.send(" ")) == 50006
    channel.forbid_bot("send_messages", "manage_webhooks")
    assert await refused(here.send("hush")) == 50013
    assert await refused(here.create_webhook(name="hush")) == 50013
    channel.forbid_bot("view_channel")
    assert await refused(here.send("where am I")) == 50001
    await ann.closes_dms()
    assert await refused((await bot.fetch_user(ann.id)).send("psst")) == 50007
    channel.delete()
    assert await refused(here.send("nobody")) == 10003


@pytest.mark.parametrize(
    "components",
    [
        [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "i" * 101}]}],
        [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": str(n)} for n in range(6)]}],
        [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "same"}] * 2}],
    ],
    ids=["a long custom_id", "six buttons in a row", "one custom_id twice"],
)
async def test_components_beyond_the_limits_are_refused(
    fake: FakeDiscord, channel: Channel, bot: SmallBot, components: list[dict[str, Any]]
) -> None:
    route = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id)
    assert await refused(bot.http.request(route, json={"content": "x", "components": components})) == 50035
    if fake.contract is not None:
        fake.contract.violations.clear()


async def test_long_texts_as_components_and_files_are_carried(channel: Channel, bot: SmallBot) -> None:
    view = discord.ui.LayoutView()
    view.add_item(discord.ui.Container(discord.ui.TextDisplay("y" * 3000), accent_colour=3))
    here = await there(bot, channel)
    await here.send(view=view, file=discord.File(io.BytesIO(b"picture"), "a.png", description="a face"))
    message = channel.from_bot[0]
    assert message.text == "y" * 3000
    fetched = await here.fetch_message(message.id)
    assert await fetched.attachments[0].read() == b"picture"


async def test_refusals_for_a_while_are_waited_out(fake: FakeDiscord, channel: Channel, bot: SmallBot) -> None:
    here = await there(bot, channel)
    limited = fake.faults.refuse("POST", "/channels/*/messages", 429, times=2, retry_after=0.01)
    broken = fake.faults.refuse("PATCH", "/channels/*/messages/*", 502)
    await (await here.send("patience")).edit(content="patience pays")
    assert (limited.hits, broken.hits) == (2, 1)
    assert [one.status for one in fake.requests_of("POST", "/channels/*/messages")] == [429, 429, 200]
    fake.faults.refuse("POST", "/channels/*/messages", 503)
    with pytest.raises(discord.DiscordServerError):
        await here.send("lost")
    assert [message.text for message in channel.messages] == ["patience pays"]


async def test_requests_hang_are_cut_or_lose_their_answer(fake: FakeDiscord, channel: Channel, bot: SmallBot) -> None:
    here = await there(bot, channel)
    hanging = fake.faults.hang("POST", "/channels/*/messages")
    sending = asyncio.create_task(here.send("late"))
    await asyncio.wait_for(hanging.struck.wait(), TIMEOUT_S)
    assert channel.messages == []
    hanging.release()
    await sending
    fake.faults.cut("POST", "/channels/*/messages")
    with pytest.raises(aiohttp.ClientError):
        await here.send("cut")
    fake.faults.lose_answer("POST", "/channels/*/messages")
    with pytest.raises(aiohttp.ClientError):
        await here.send("unheard")
    assert [message.text for message in channel.messages] == ["late", "unheard"]


async def test_a_bucket_that_is_empty_is_counted(fake: FakeDiscord, channel: Channel, bot: SmallBot) -> None:
    fake.rate_limits.turn_on(Bucket("POST", "/channels/{channel_id}/messages", 1, 0.05))
    here = await there(bot, channel)
    for number in range(3):
        await here.send(str(number))
    assert len(channel.messages) == 3
    assert fake.rate_limits.refused == [], "discord.py waits as the headers say"
    fake.rate_limits.turn_on(Bucket("POST", "/channels/{channel_id}/messages", 0, 60.0))
    route = f"{fake.url}/channels/{channel.id}/messages"
    headers = {"Authorization": f"Bot {fake.token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(route, json={"content": "x"}, headers=headers) as answer,
    ):
        assert answer.status == 429 and (await answer.json())["retry_after"] > 0
    assert len(fake.rate_limits.refused) == 1
