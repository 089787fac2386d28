"""How often a reply and its context ask the store: each time, others may wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager

from sqlalchemy import Engine, event

from bot.discord_chat.catch_up import CatchUp
from tests.discord.rooms import DiscordRoom, listen
from tests.running.patience import TIMEOUT_S


@contextmanager
def transactions(room: DiscordRoom, monkeypatch):
    """Counts those that the bot begins, reading and writing.

    The test's own do not count, nor the look for what was missed, which comes once, some time after the start.
    """
    counted, mine = Counter(), asyncio.current_task()

    def counts() -> bool:
        task = asyncio.current_task()
        return task is not mine and task.get_coro().__qualname__ != CatchUp.keep_up.__qualname__

    def counting(kind):
        door = getattr(room.service.store, kind)

        def begin():
            counted[kind] += counts()
            return door()

        return begin

    for kind in ("read", "write"):
        monkeypatch.setattr(room.service.store, kind, counting(kind))
    yield counted
    monkeypatch.undo()


@contextmanager
def statements():
    """Everything that is said to any database."""
    asked = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


async def test_a_reply_in_a_channel_takes_four_writes(room: DiscordRoom, monkeypatch):
    await room.ask_and_answer("the first one looks up more")
    with transactions(room, monkeypatch) as counted:
        await room.ask_and_answer("good morning")
        await room.chat.parts.chat.replies.drain(TIMEOUT_S)
    # Recorded, running, first page, settled. That it is shown to its end rides with the next write.
    assert +counted == {"write": 4}


async def test_a_history_is_looked_up_in_one_query_however_long_it_is(open_room: DiscordRoom):
    heard = listen(open_room)
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.answer(await open_room.ann.says(thread, "one", mentions_bot=True))
    for text in ("two", "three", "four"):
        await open_room.answer(await open_room.ann.says(thread, text))
    with statements() as asked:
        await open_room.answer(await open_room.ann.says(thread, "five"))
    assert len(heard[-1]) == 9
    of_history = [statement for statement in asked if "JOIN exchanges" in statement and "message_id IN" in statement]
    assert len(of_history) == 1
