from __future__ import annotations

import asyncio
import time

import pytest

from bot.chat.edit_budget import EditBudget
from bot.chat.message_split import Page
from bot.chat.reply_stream import Delivered, ReplyStream, ScreenRefused, ScreenUnreachable
from bot.chat.responder import PendingReply
from core.engine.echo_engine import EchoEngine
from core.errors import StoreUnavailable
from core.messages import ChatMessage
from core.queue.jobs import JobStatus
from tests.examples.list_screen import ListScreen
from tests.examples.queue import FrozenClock, until_idle
from tests.examples.workshop import open_workshop


class Channel:
    """Delivers the replies of a workshop to one screen, and remembers which page every message shows."""

    def __init__(self, shop, *, budget=None, limit=100, header=""):
        self.shop = shop
        self.screen = ListScreen()
        self.budget = budget or EditBudget(100, 1.0)
        self.options = {"limit": limit, "header": header, "interval_s": 0.0, "refresh_s": 0.01}
        self.posted = []

    async def on_posted(self, message_id, page):
        self.posted.append((message_id, page))

    def deliver(self, exchange_id, *, onto=(), is_seldom_edited=False):
        stream = ReplyStream(self.screen, self.budget, on_posted=self.on_posted, **self.options)
        reply = PendingReply(exchange_id, "codebeard", time.time(), self.shop.queue)
        return asyncio.create_task(stream.deliver(reply, onto=onto, is_seldom_edited=is_seldom_edited))


@pytest.fixture
async def shop(tmp_path):
    async with open_workshop(tmp_path, engine=EchoEngine(slots=1)) as opened:
        yield opened


@pytest.fixture
def channel(shop):
    return Channel(shop)


async def until_ended(shop, exchange_id):
    while not JobStatus((row := await shop.row(exchange_id)).status).is_final:  # noqa: ASYNC110 - a row sets no event
        await asyncio.sleep(0)
    return row


async def test_a_reply_is_shown_whole(shop, channel):
    asked = await shop.ask("good morning all")
    delivered = await channel.deliver(asked)
    assert channel.screen.shown == {"m1": "good morning all"}
    assert delivered == Delivered(("m1",), "good morning all", "stop", pages=(Page("good morning all"),))
    assert channel.posted == [("m1", 0)]


async def test_words_are_shown_as_they_come_below_the_header(shop):
    channel = Channel(shop, header="**Captain Codebeard**")
    shop.engine.gate.close()
    delivering = channel.deliver(await shop.ask("one two three"))
    await channel.screen.until("**Captain Codebeard**\n…")
    shop.engine.gate.let_through(2)
    await channel.screen.until("**Captain Codebeard**\none two")
    shop.engine.gate.open()
    assert (await delivering).text == "one two three"
    assert channel.screen.texts == ["**Captain Codebeard**\none two three"]


async def test_a_waiting_reply_says_where_it_stands_until_it_has_words(shop, channel):
    shop.engine.gate.close()
    asked = [await shop.ask(text) for text in ("first", "second", "third")]
    await shop.engine.gate.wait_until_held()
    delivering = channel.deliver(asked[2])
    await channel.screen.until("2nd in line")
    shop.engine.gate.let_through(1)
    await channel.screen.until("…")
    shop.engine.gate.open()
    await delivering
    assert channel.screen.texts == ["third"]


async def test_how_long_a_reply_will_wait_is_said_once_it_is_known(shop, channel):
    await shop.read(await shop.ask("quick"))
    shop.engine.gate.close()
    asked = [await shop.ask(text) for text in ("first", "second", "third")]
    await shop.engine.gate.wait_until_held()
    delivering = channel.deliver(asked[2])
    await channel.screen.until("2nd in line, about 1 s")
    shop.engine.gate.open()
    await delivering


async def test_what_comes_while_the_budget_is_spent_is_one_edit(shop):
    turn = asyncio.Event()

    async def sleep(delay_s):
        if delay_s:
            await turn.wait()
            clock.now += delay_s

    clock = FrozenClock()
    budget = EditBudget(1, 5.0, clock=clock, sleep=sleep)
    await budget.take()
    channel = Channel(shop, budget=budget)
    shop.engine.gate.close()
    delivering = channel.deliver(await shop.ask("one two three four"))
    for _ in range(3):
        shop.engine.gate.let_through(1)
        await shop.engine.gate.wait_until_held()
        await until_idle()
    assert channel.screen.texts == ["…"]
    turn.set()
    await channel.screen.until("one two three")
    assert channel.screen.calls == ["post", "edit"]
    shop.engine.gate.open()
    await delivering
    assert channel.screen.texts == ["one two three four"]


async def test_the_final_edit_goes_before_others_that_wait_in_the_channel(shop):
    turns = asyncio.Semaphore(0)
    budget = EditBudget(1, 5.0, clock=FrozenClock(), sleep=lambda delay_s: turns.acquire())
    others = [asyncio.create_task(budget.take()) for _ in range(3)]
    channel = Channel(shop, budget=budget)
    asked = await shop.ask("one two")
    delivering = channel.deliver(asked)
    await until_ended(shop, asked)
    await until_idle()
    turns.release()
    await delivering
    assert channel.screen.texts == ["one two"]
    assert not any(other.done() for other in others)
    for _ in others:
        turns.release()
    await asyncio.gather(*others)


async def test_a_long_reply_goes_on_in_further_messages(shop, channel):
    text = " ".join(f"word{number}" for number in range(40))
    delivered = await channel.deliver(await shop.ask(text))
    assert " ".join(channel.screen.texts) == text
    assert len(channel.screen.texts) > 2
    assert delivered.message_ids == tuple(channel.screen.shown)
    assert channel.posted == list(zip(channel.screen.shown, range(40), strict=False))


async def test_a_reply_that_replaces_another_is_shown_in_its_messages(shop, channel):
    channel.screen.shown = {"a": "old one", "b": "old two", "c": "old three"}
    delivered = await channel.deliver(await shop.ask("x" * 150), onto=("a", "b", "c"))
    assert channel.screen.shown == {"a": "x" * 100, "b": "x" * 50}
    assert delivered.message_ids == ("a", "b")
    assert channel.posted == [("a", 0), ("b", 1)]


async def test_messages_that_are_edited_but_seldom_show_a_sign_of_life_and_the_end(shop, channel):
    channel.screen.shown = {"a": "old one"}
    shop.engine.gate.close()
    delivering = channel.deliver(await shop.ask("one two three"), onto=("a",), is_seldom_edited=True)
    await channel.screen.until("…")
    for _ in range(2):
        shop.engine.gate.let_through(1)
        await shop.engine.gate.wait_until_held()
        await until_idle()
    assert channel.screen.texts == ["…"]
    shop.engine.gate.open()
    await delivering
    assert channel.screen.texts == ["one two three"]
    assert channel.screen.calls == ["edit", "edit"]


async def test_a_message_to_be_removed_may_be_gone_already(shop, channel):
    channel.screen.shown = {"a": "old one"}
    delivered = await channel.deliver(await shop.ask("new"), onto=("a", "b"))
    assert (delivered.finish_reason, channel.screen.shown) == ("stop", {"a": "new"})


async def test_a_stopped_reply_keeps_its_words(shop, channel):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two")
    delivering = channel.deliver(asked)
    await channel.screen.until("one")
    await shop.queue.cancel(asked)
    delivered = await delivering
    assert channel.screen.texts == ["one\n(stopped)"]
    assert (delivered.text, delivered.finish_reason, delivered.error) == ("one ", "cancelled", None)


async def test_a_reply_that_fails_says_why(tmp_path):
    async with open_workshop(tmp_path, engine=EchoEngine(fails_on="two")) as shop:
        channel = Channel(shop)
        delivered = await channel.deliver(await shop.ask("one two"))
    assert delivered.finish_reason == "error"
    assert "cannot say" in delivered.error
    assert channel.screen.texts == [f"one\n{delivered.error}"]


async def test_older_messages_that_were_left_out_are_mentioned(tmp_path):
    turns = [ChatMessage(role, "three words each") for role in ("user", "assistant") * 9]
    async with open_workshop(tmp_path, engine=EchoEngine(max_context_tokens=40)) as shop:
        channel = Channel(shop)
        asked = await shop.ask("", messages=(*turns, ChatMessage("user", "and now")))
        delivered = await channel.deliver(asked)
    assert delivered.dropped == 14
    assert channel.screen.texts == ["and now\n-# Older messages were left out."]


async def test_a_reply_nobody_can_see_any_more_is_cancelled(shop, channel):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two three")
    delivering = channel.deliver(asked)
    await channel.screen.until("one")
    channel.screen.shown.clear()
    shop.engine.gate.let_through(1)
    delivered = await delivering
    assert (delivered.finish_reason, delivered.error) == ("cancelled", None)
    assert (await until_ended(shop, asked)).status == JobStatus.CANCELLED


async def test_a_reply_that_cannot_even_begin_to_be_shown_is_cancelled(shop, channel):
    shop.engine.gate.close()
    asked = await shop.ask("one")
    channel.screen.refusal = ScreenRefused("The bot cannot see this channel.")
    delivered = await channel.deliver(asked)
    assert delivered == Delivered((), "", "cancelled", "The bot cannot see this channel.")
    assert (await until_ended(shop, asked)).status == JobStatus.CANCELLED


async def test_a_screen_that_goes_after_the_reply_has_ended_changes_nothing_about_its_end(shop, channel):
    asked = await shop.ask("one")
    channel.screen.shown = {"a": "old"}
    channel.on_posted = lambda message_id, page: until_ended(shop, asked)
    delivering = channel.deliver(asked, onto=("a",))
    await channel.screen.until("…")
    channel.screen.shown.clear()
    delivered = await delivering
    assert (delivered.text, delivered.finish_reason) == ("one", "stop")


async def test_a_reply_whose_delivery_is_given_up_is_cancelled(shop, channel):
    shop.engine.gate.close()
    asked = await shop.ask("one")
    delivering = channel.deliver(asked)
    await channel.screen.until("…")
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert (await until_ended(shop, asked)).status == JobStatus.CANCELLED


async def test_what_breaks_while_a_message_is_noted_ends_the_reply(shop, channel):
    async def on_posted(message_id, page):
        raise StoreUnavailable("The disk is full.")

    shop.engine.gate.close()
    asked = await shop.ask("one")
    channel.on_posted = on_posted
    with pytest.raises(StoreUnavailable):
        await channel.deliver(asked)
    assert (await until_ended(shop, asked)).status == JobStatus.CANCELLED


async def test_a_reply_that_cannot_be_read_leaves_no_waiting_line(shop, channel):
    asked = await shop.ask("one")
    await shop.read(asked)
    delivered = await channel.deliver(asked)
    assert delivered.finish_reason == "error"
    assert " ".join(channel.screen.texts) == delivered.error


async def test_a_service_that_stops_leaves_no_waiting_line(shop, channel):
    shop.engine.gate.close()
    delivering = channel.deliver(await shop.ask("one"))
    await channel.screen.until("…")
    await shop.queue.close()
    delivered = await delivering
    assert "stopping" in delivered.error
    assert channel.screen.texts == [delivered.error]


async def test_a_reply_whose_platform_goes_out_of_reach_is_read_to_its_end_but_not_shown(shop, channel):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two three")
    delivering = channel.deliver(asked)
    await channel.screen.until("one")
    channel.screen.refusal = ScreenUnreachable("Nobody answers.")
    shop.engine.gate.open()
    delivered = await delivering
    assert (delivered.text, delivered.finish_reason) == ("one two three", "stop")
    assert (delivered.is_shown, delivered.error) == (False, "Nobody answers.")
    assert (await until_ended(shop, asked)).status == JobStatus.SUCCEEDED
