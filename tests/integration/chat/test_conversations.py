"""What was said before a question, where the words are remembered, kept, or stand in the messages alone."""

from __future__ import annotations

from typing import Any

import pytest

from bot.chat.chat_parts import ChatParts
from bot.chat.conversation import Transcript, Turn
from bot.chat.conversations import QUESTION_GONE, Conversations, Former
from core.errors import NotFound
from core.messages import Quoted
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.models import Delivery, Exchange
from tests.examples.store import new_exchange, settle


class Board(Conversations):
    """A platform whose messages are texts by their keys."""

    def __init__(self, chat: ChatParts, **shown: str) -> None:
        super().__init__(chat.store, chat.platform.source, chat.memory)
        self.shown = shown

    async def _shown_again(self, exchange: Exchange) -> Transcript | None:
        return None

    async def _content_of(self, key: str) -> str | None:
        return self.shown.get(key)

    def _words_in(self, content: str, noted: Delivery | None) -> str | None:
        return None if noted is None or noted.head_chars is None else content[noted.head_chars :]


async def answered(chat: ChatParts, *pages: str, asked: dict[str, Any] | None = None, **ended: Any) -> Exchange:
    """An exchange whose answer these messages show, each below a mark of one character."""
    new = new_exchange(source="test", **{"prompt": None, "question_id": "q1", **(asked or {})})
    async with chat.store.write() as session:
        assert await exchanges.record(session, new)
        assert await settle(session, new.id, **{"reply": None, **ended})
        for position, key in enumerate(pages):
            await exchanges.add_delivery(session, new.id, key, position=position)
        await exchanges.finish_deliveries(session, new.id, marks=dict.fromkeys(pages, (1, 0)))
    async with chat.store.read() as session:
        found = await exchanges.find(session, new.id)
    assert found is not None
    return found


async def test_an_answer_of_two_messages_is_one_turn_of_words_that_are_read_once(chat: ChatParts):
    await answered(chat, "m1", "m2")
    board = Board(chat, m1="#one")  # the other is at hand
    said = Transcript("c", (Turn("user", "Ann", "hello"),), (Quoted("m0", "test:ann"),))
    former = [Former("m2", content="#two"), Former("m1", content="#one"), Former("m0", said=said)]
    transcript = await board.after(former, Transcript("c", (Turn("user", "Ann", "and now?"),)))
    assert [turn.text for turn in transcript.turns] == ["hello", "one\ntwo", "and now?"]
    assert transcript.quotes == (Quoted("m0", "test:ann"), Quoted("m2", ""))
    assert not transcript.is_cut


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_an_answer_that_failed_is_no_part_of_the_conversation(chat: ChatParts, status: JobStatus):
    await answered(chat, "m1", status=status)
    former = [Former("m1", content="#one")]
    transcript = await Board(chat).after(former, Transcript("c", (Turn("user", "Ann", "and now?"),)))
    assert len(transcript.turns) == (1 if status == JobStatus.FAILED else 2)


async def test_more_than_fits_is_cut_and_said_so(chat: ChatParts):
    former = [Former(f"m{number}", said=Transcript("c", (Turn("user", "", f"{number}"),))) for number in range(100)]
    transcript = await Board(chat).after(former, Transcript("c", (Turn("user", "", "now"),)))
    assert len(transcript.turns) == 100 and transcript.is_cut


async def test_what_was_typed_into_a_command_is_asked_again_from_what_is_kept(chat: ChatParts):
    kept = await answered(chat, asked={"question_id": None, "prompt": new_exchange().prompt, "quotes": ()})
    transcript = await Board(chat).read_again(kept)
    assert transcript.messages == new_exchange().prompt
    forgotten = await answered(chat, asked={"question_id": None})
    with pytest.raises(NotFound, match=QUESTION_GONE):
        await Board(chat).read_again(forgotten)
