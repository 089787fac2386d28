"""What people delete on Discord while the bot is away, and what it makes of that when it is back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from sqlalchemy import text

from bot.chat import thumbs
from core.store import consent, places
from tests.discord.commands import registered
from tests.discord.rooms import LONG, DiscordRoom
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord

Run = Callable[..., AbstractAsyncContextManager[DiscordRoom]]
WORDY: dict[str, Any] = {"max_new_tokens": 2000}


async def agree(room: DiscordRoom) -> None:
    """Let text be kept: ann agrees, and so does her server."""
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)


async def texts(room: DiscordRoom) -> list[str | None]:
    """What is kept of every reply, the oldest first."""
    return [exchange.reply for exchange in await room.exchanges()]


async def noted(room: DiscordRoom, *, up: tuple[Person, ...] = (), down: tuple[Person, ...] = ()) -> None:
    """Return once exactly these people judge an answer of the room."""

    async def is_noted() -> bool:
        return await room.marks() == dict.fromkeys(up, True) | dict.fromkeys(down, False)

    await room.until(is_noted)


async def in_a_thread(room: DiscordRoom) -> Message:
    thread = await room.ann.starts_thread(room.channel, "a thread")
    return await room.answer(await room.ann.says(thread, "one", mentions_bot=True))


async def in_a_dm(room: DiscordRoom) -> Message:
    return await room.answer(await room.ann.says(await room.ann.opens_dm(), "one"))


async def by_a_webhook(room: DiscordRoom) -> Message:
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{room.channel.id}", source="discord", identity="webhook")
    return await room.ask_and_answer("one")


async def on_two_pages(room: DiscordRoom) -> Message:
    await room.ask_and_answer(LONG)
    return room.channel.from_bot[-1]


@pytest.mark.parametrize("put_up", [in_a_thread, in_a_dm, by_a_webhook, on_two_pages])
async def test_thumbs_and_deletions_are_found_wherever_an_answer_stands(
    run: Run, caught_up, put_up: Callable[[DiscordRoom], Awaitable[Message]]
):
    async with run(**WORDY) as room:
        await agree(room)
        answer = await put_up(room)
    await room.ann.reacts(answer, "👎")
    async with run(**WORDY) as room:
        await noted(room, down=(room.ann,))
        await caught_up(room)
        assert None not in await texts(room)
    answer.deleted_at = answer.created_at
    async with run(**WORDY) as room:
        await caught_up(room)
        assert await texts(room) == [None]


async def test_what_was_deleted_meanwhile_is_forgotten_and_the_rest_is_kept(run: Run, caught_up, fake: FakeDiscord):
    moderator = fake.add_person("mod")
    async with run() as room:
        await agree(room)
        room.channel.guild.grant(moderator, "manage_messages")
        asked, quoted = await room.asks("my secret"), await room.asks("one")
        first = await room.answer(asked)
        second = await room.answer(quoted)
        await room.answer(await room.ann.says(room.channel, "go on", reply_to=second))
        third = await room.ask_and_answer("rude")
        for number in range(120):  # pages that show nothing of ours
            await room.ann.says(room.channel, f"talk {number}")
        last = await room.ask_and_answer("bye")
    await room.ann.deletes(asked)
    await moderator.deletes(second)
    await moderator.deletes(third)
    async with run() as room:
        await caught_up(room)
        assert first.deleted
        assert not last.deleted
        assert await texts(room) == [None, None, None, None, "[codebeard@1] bye"]
        assert [await room.pages(exchange) for exchange in await room.exchanges()][-1] == [last]


async def test_a_channel_that_was_emptied_is_forgotten(run: Run, caught_up):
    async with run() as room:
        await agree(room)
        answer = await room.ask_and_answer("my secret")
    assert answer.reply_to is not None
    answer.deleted_at = answer.reply_to.deleted_at = answer.created_at
    async with run() as room:
        await caught_up(room)
        assert await texts(room) == [None]


@pytest.mark.parametrize("trouble", ["view_channel", "read_message_history", "/messages", "/messages/*"])
async def test_what_cannot_be_read_says_nothing(run: Run, caught_up, fake: FakeDiscord, trouble: str):
    async with run() as room:
        await agree(room)
        gone = await room.asks("my secret")
        await room.ended(gone)  # two at once may come into the ledger in either order
        answer = await room.ask_and_answer("one")
        await room.ann.reacts(answer, "👍")
        await noted(room, up=(room.ann,))
    await room.ann.deletes(gone)
    await room.ann.unreacts(answer, "👍")
    if trouble.startswith("/"):
        fake.faults.refuse("GET", f"/channels/{room.channel.id}{trouble}", 503, times=1000)
    else:
        room.channel.forbid_bot(trouble)
    async with run() as room:
        await caught_up(room)
        assert None not in await texts(room)
        assert await room.marks() == {room.ann: True}
    fake.faults.clear()
    room.channel.forbid_bot()
    async with run() as room:
        await noted(room)
        assert await texts(room) == [None, "[codebeard@1] one"]


async def test_an_answer_that_only_the_asker_sees_is_not_taken_for_deleted(run: Run, caught_up):
    async with run() as room:
        await agree(room)
        await registered(room)
        interaction = await room.ann.uses("ask", room.channel, question="psst", private=True)
        await interaction.wait_reply()
        await room.until(lambda: _is_settled(room))
    async with run() as room:
        await caught_up(room)
        assert await texts(room) == ["[codebeard@1] psst"]


async def _is_settled(room: DiscordRoom) -> bool:
    return all(exchange.status == "succeeded" for exchange in await room.exchanges())


async def test_channels_and_threads_that_were_deleted_meanwhile_are_forgotten(run: Run, caught_up):
    async with run() as room:
        await agree(room)
        other, hidden = (room.channel.guild.add_channel(name) for name in ("other", "hidden"))
        thread = await room.ann.starts_thread(room.channel, "a thread")
        archived = await room.ann.starts_thread(room.channel, "an old one")
        for where in (other, thread, hidden, archived):
            await room.answer(await room.ann.says(where, "my secret", mentions_bot=True))
    other.delete()
    thread.delete()
    hidden.forbid_bot("view_channel")
    archived.archive()
    async with run() as room:
        await caught_up(room)
        kept = [exchange.reply is not None for exchange in await room.exchanges()]
        assert kept == [False, False, True, True]


async def test_what_the_store_could_not_take_in_is_looked_up_once_it_can(
    run: Run, caught_up, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(thumbs, "RETRY_DELAYS_S", ())
    async with run() as room:
        await agree(room)
        gone = await room.asks("my secret")
        await room.ended(gone)  # two at once may come into the ledger in either order
        answer = await room.ask_and_answer("one")
        await caught_up(room)
        async with room.service.store.write() as session:
            await session.execute(text("ALTER TABLE deliveries RENAME TO hidden"))
        await room.ann.reacts(answer, "👍")
        await room.ann.deletes(gone)

        async def are_lost() -> bool:
            return "will be read later" in caplog.text and "is tried again" in caplog.text

        await room.until(are_lost)
        async with room.service.store.write() as session:
            await session.execute(text("ALTER TABLE hidden RENAME TO deliveries"))
        await noted(room, up=(room.ann,))
        assert await texts(room) == [None, "[codebeard@1] one"]
