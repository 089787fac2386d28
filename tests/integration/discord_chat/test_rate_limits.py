"""What Discord answers to those who ask too often (429), and that every answer is whole in the end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.chat import calls, mending
from bot.chat.reply_stream import ReplyStream
from bot.discord_chat.buttons import AGAIN
from tests.discord.rooms import DiscordRoom, discord_room, process_in
from tests.fakes.fake_discord.faults import Fault
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.rate_limits import OLD
from tests.fakes.fake_discord.server import FakeDiscord

HEADER = "**🏴 Captain Codebeard**\n"
WHOLE = HEADER + "[codebeard@1] one two three"
EDITS = "/channels/*/messages/*"


async def half_shown(room: DiscordRoom) -> Message:
    """An answer that is held after its first word."""
    room.gate.close()
    await room.asks("one two three")
    room.gate.let_through(2)
    return await room.channel.wait_for(
        lambda messages: messages[-1] if messages[-1].content == WHOLE.removesuffix(" two three") else None
    )


async def is_shown_whole(room: DiscordRoom, page: Message, fault: Fault) -> None:
    room.gate.open()
    await room.channel.wait_for(lambda _: page.content == WHOLE and "reply:delete:" in str(page.components))
    assert fault.hits == fault.times
    [exchange] = await room.exchanges()
    await room.chat.parts.chat.replies.ended(exchange.id)
    assert (await room.exchanges())[0].status == "succeeded"


async def test_an_edit_that_is_refused_six_times_arrives(room: DiscordRoom, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0,))
    page = await half_shown(room)
    fault = room.fake.faults.refuse("PATCH", EDITS, 429, times=6, retry_after=0.01)  # discord.py gives up after five
    await is_shown_whole(room, page, fault)


async def test_an_edit_that_cloudflare_refuses_arrives_after_the_time_it_names(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0,))
    page = await half_shown(room)
    fault = room.fake.faults.refuse("PATCH", EDITS, 429, retry_after=0.5, by_cloudflare=True)
    await is_shown_whole(room, page, fault)
    edits = room.fake.requests_of("PATCH", EDITS)
    [refused] = [one for one in edits if one.status == 429]
    after = edits[edits.index(refused) + 1]
    assert after.at - refused.at >= timedelta(seconds=0.5)


async def test_where_cloudflare_refuses_for_long_the_answer_is_whole_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mending, "AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0, 0.0))
    monkeypatch.setattr(calls, "MAX_WAIT_S", 0.01)
    async with discord_room(tmp_path) as room:
        page = await half_shown(room)
        fault = room.fake.faults.refuse("PATCH", EDITS, 429, times=5, retry_after=3600.0, by_cloudflare=True)
        await is_shown_whole(room, page, fault)


async def test_an_old_answer_is_written_anew_with_few_edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ReplyStream.__init__.__kwdefaults__, "interval_s", 0.0)
    too_early_s = OLD.total_seconds() + 60
    async with FakeDiscord(behind_s=too_early_s) as fake:
        guild = fake.add_guild("harbour")
        channel, other = guild.add_channel("general"), guild.add_channel("other")
        ann = fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            old = await room.ask_and_answer("one two three four five")
            await channel.wait_for(lambda _: "reply:delete:" in str(old.components))
            whole, standing = old.content, len(old.versions)
            fake.pass_time(too_early_s)
            room.gate.close()
            await ann.presses(old, AGAIN)
            await channel.wait_for(lambda _: old.content == HEADER + "…")
            for count in range(1, 4):
                room.gate.let_through(1)
                await room.gate.wait_until_held()
                await ann.says(other, "", mentions_bot=True)  # the word could be shown before this is greeted
                await other.wait_for(lambda _, count=count: len(other.from_bot) == count)
            room.gate.open()
            await channel.wait_for(lambda _: "2/2" in str(old.components))
            assert [version.content for version in old.versions[standing:]] == [HEADER + "…", whole, whole]
            assert fake.old_edits.refused == []
        fake.check_contract()
