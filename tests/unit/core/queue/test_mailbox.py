from __future__ import annotations

import asyncio

from core.queue.mailbox import Mailbox


async def test_items_wait_for_their_reader_and_keep_their_order():
    mailbox = Mailbox()
    mailbox.put(1)
    mailbox.put(2)
    mailbox.close()
    assert [item async for item in mailbox] == [1, 2]


async def test_a_waiting_reader_gets_an_item_as_it_comes():
    mailbox = Mailbox()
    reading = asyncio.ensure_future(anext(mailbox))
    await asyncio.sleep(0)
    mailbox.put("late")
    assert await reading == "late"


async def test_closing_ends_a_waiting_reader_and_drops_what_comes_after():
    mailbox = Mailbox()
    reading = asyncio.create_task(collect(mailbox))
    await asyncio.sleep(0)
    mailbox.close()
    mailbox.put("too late")
    assert await reading == []
    assert await collect(mailbox) == []


async def test_an_item_takes_the_place_of_an_older_one_that_is_the_newest_and_was_not_read():
    first, second = object(), object()
    mailbox = Mailbox()
    mailbox.put(first)
    mailbox.put(second, instead_of=first)
    mailbox.put("words")
    mailbox.put("more", instead_of=second)
    mailbox.close()
    assert await collect(mailbox) == [second, "words", "more"]


async def test_clearing_drops_what_nobody_read():
    mailbox = Mailbox()
    mailbox.put(1)
    mailbox.clear()
    mailbox.put(2)
    mailbox.close()
    assert await collect(mailbox) == [2]


async def collect(mailbox):
    return [item async for item in mailbox]
