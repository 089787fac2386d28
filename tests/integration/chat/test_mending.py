"""Replies that were left half shown: what their messages say after the next start."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from bot.chat.buttons import ReplyButtons
from bot.chat.chat_parts import ChatParts
from bot.chat.mending import LeftPage
from bot.chat.platform import ScreenGone, ScreenUnreachable
from bot.chat.recovery import MAY_BE_CUT_OFF
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.models import Delivery, Exchange
from tests.examples.store import new_exchange, settle


@dataclass
class Board:
    """Implements `bot.chat.mending.LeftPages`: messages by their ids, and the buttons below them."""

    shown: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, ReplyButtons | None] = field(default_factory=dict)
    is_running: bool = True
    is_out: bool = False
    unnoted: str | None = None

    async def reach(self, page: Delivery, model: str) -> LeftPage:
        key = page.message_id
        if self.is_out:
            raise ScreenUnreachable("Later.")
        if key not in self.shown:
            raise ScreenGone("Gone.")
        return LeftPage(key, "", self.shown[key], self.is_running, partial(self._edit, key), self._post)

    async def remove(self, page: Delivery) -> None:
        del self.shown[page.message_id]

    async def find(self, exchange: Exchange) -> str | None:
        return self.unnoted

    async def _edit(self, key: str, text: str | None, buttons: ReplyButtons | None) -> None:
        self.shown[key] = self.shown[key] if text is None else text
        self.buttons[key] = buttons

    async def _post(self, text: str, buttons: ReplyButtons | None) -> str:
        key = f"m{len(self.shown) + 1}"
        self.shown[key], self.buttons[key] = text, buttons
        return key


async def left(chat: ChatParts, *pages: str, **ended: Any) -> str:
    """An exchange that has ended, and the messages whose end nobody noted."""
    kept = {} if "reply" in ended else {"prompt": None}  # a reply is kept where its prompt is
    asked = new_exchange(source="test", question_id="q1", **kept)
    async with chat.store.write() as session:
        assert await exchanges.record(session, asked)
        assert await settle(session, asked.id, **{"reply": None, **ended})
        for position, key in enumerate(pages):
            await exchanges.add_delivery(session, asked.id, key, position=position, is_final=False)
    return asked.id


async def mend(chat: ChatParts, board: Board) -> list[Delivery]:
    """Start and mend; what is still noted as waiting for its end then."""
    mending = chat.mending(board)
    await mending.look()
    await mending.mend_all()
    async with chat.store.read() as session:
        return [one for exchange, pages in await exchanges.undelivered(session, "test") for one in pages]


async def test_a_reply_that_failed_says_why_and_its_further_pages_go(chat: ChatParts):
    board = Board({"m1": "one", "m2": "two"})
    exchange_id = await left(chat, "m1", "m2", status=JobStatus.FAILED, error="It broke.", finish_reason=None)
    assert await mend(chat, board) == []
    assert board.shown == {"m1": "It broke."}
    assert board.buttons["m1"] == ReplyButtons(exchange_id, is_finished=False)


async def test_kept_words_are_shown_whole_on_as_many_pages_as_they_need(chat: ChatParts):
    board = Board({"m1": "word"})
    words = " ".join(["word"] * 20)
    exchange_id = await left(chat, "m1", reply=words)
    assert await mend(chat, board) == []
    assert " ".join(board.shown.values()) == words and len(board.shown) == 2
    assert board.buttons == {"m1": None, "m2": ReplyButtons(exchange_id)}


@pytest.mark.parametrize("has_room", [True, False])
async def test_words_that_nobody_knows_stay_with_a_warning_where_some_may_be_missing(chat: ChatParts, has_room: bool):
    words, note = "one two" if has_room else "one two three four five", f"({MAY_BE_CUT_OFF})"
    board = Board({"m1": words})
    exchange_id = await left(chat, "m1")
    assert await mend(chat, board) == []
    assert list(board.shown.values()) == ([f"{words}\n{note}"] if has_room else [words, note])
    assert board.buttons["m1" if has_room else "m2"] == ReplyButtons(exchange_id)


async def test_words_that_nobody_knows_stay_as_they_are_where_they_had_ended(chat: ChatParts):
    board = Board({"m1": "one two"}, is_running=False)
    await left(chat, "m1")
    assert await mend(chat, board) == []
    assert board.shown == {"m1": "one two"}


async def test_what_is_gone_is_noted_and_what_is_out_of_reach_stays_for_later(chat: ChatParts):
    board = Board({"m1": "one"}, is_out=True)
    await left(chat, "m1")
    assert [one.message_id for one in await mend(chat, board)] == ["m1"]
    board.is_out = False
    board.shown.clear()
    assert await mend(chat, board) == []


async def test_a_message_of_which_nothing_is_noted_is_found(chat: ChatParts):
    board = Board({"m1": "…"}, unnoted="m1")
    await left(chat, status=JobStatus.FAILED, error="It broke.", finish_reason=None)
    assert await mend(chat, board) == []
    assert board.shown == {"m1": "It broke."}
