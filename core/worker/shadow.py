"""Lets a challenger answer beside the champion, unseen by anyone: measured, and forgotten.

Its row runs in the same batch, and only where a slot is free and nobody waits; people who come take the slot back. The
words stay in this process until they are measured. Knows no rules: `core.adapters.rollout` judges the figures.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.engine.base import Engine
from core.errors import PersonasError, StoreUnavailable
from core.flaws import is_garbage, repeats_itself
from core.generation import AdapterRef, GenerationRequest, WeightedAdapter
from core.store.db import Store, insert
from core.store.models import ShadowReply
from core.thinking import ThinkingFilter
from core.voice import Voice, words_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Who answers unseen beside a champion: the challenger's number and files, and the voice both are measured by."""

    persona: str
    base_slug: str
    version: int
    ref: AdapterRef
    voice: Voice


@dataclass(slots=True, eq=False)
class _Unseen:
    """An unseen reply in the making. `shown` is the reply beside it, known once it ended well."""

    challenge: Challenge
    request: GenerationRequest
    shown: asyncio.Future[str]
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    text: str = ""
    is_cancelled: bool = False
    has_failed: bool = False


@dataclass(slots=True)
class Shadow:
    """The unseen replies of one engine. While nobody is challenged, nothing is done at all."""

    engine: Engine
    store: Store
    challenges: Mapping[str, Challenge] = field(default_factory=dict)  # by the champion's content hash
    _writing: dict[str, _Unseen] = field(default_factory=dict, init=False)
    _is_closed: bool = field(default=False, init=False)

    def begin(self, request: GenerationRequest, *, free_slots: int) -> None:
        """Let the challenger answer this request, too, if its champion alone does and there is room."""
        if self._is_closed or not self.challenges or len(request.adapters) != 1 or free_slots <= len(self._writing):
            return
        (share,) = request.adapters
        challenge = self.challenges.get(share.adapter.content_hash)
        if challenge is None or share.weight != 1:
            return
        exchange_id = request.request_id
        unseen = replace(
            request,
            request_id=f"shadow-{exchange_id}",
            conversation_id="shadow",  # they follow one another in one slot, and take no other conversation's
            adapters=(WeightedAdapter(challenge.ref, 1.0),),
        )
        reply = self._writing[exchange_id] = _Unseen(challenge, unseen, asyncio.get_running_loop().create_future())
        reply.task = asyncio.create_task(self._write(exchange_id, reply))

    def settle(self, exchange_id: str, text: str | None) -> None:
        """The reply that was shown has ended with this text; None where it did not end well, so nothing compares."""
        if reply := self._writing.get(exchange_id):
            if text is None:
                _stop(reply)
            elif not reply.shown.done():
                reply.shown.set_result(text)

    def make_room(self, free_slots: int) -> None:
        """End as many unseen replies as are more than this: people come first."""
        for reply in list(self._writing.values())[max(0, free_slots) :]:
            _stop(reply)

    async def close(self) -> None:
        """End them all for good, and wait until they have."""
        self._is_closed = True
        self.make_room(0)
        tasks = [reply.task for reply in self._writing.values() if reply.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _write(self, exchange_id: str, reply: _Unseen) -> None:
        try:
            said = await self._say(reply.request)
            if said.is_cancelled:
                return
            shown = await reply.shown
            row = await asyncio.to_thread(_measure, exchange_id, reply, shown, said)
            async with self.store.write() as session:
                await session.execute(insert(session, ShadowReply).values(row).on_conflict_do_nothing())
        except StoreUnavailable as error:
            logger.warning("An unseen reply is not counted: %s", error)
        except Exception:  # a task's boundary: nobody waits for what nobody sees
            logger.exception("An unseen reply is not counted")
        finally:
            del self._writing[exchange_id]

    async def _say(self, request: GenerationRequest) -> _Said:
        parting = ThinkingFilter(is_open=self.engine.capabilities.begins_in_thought)
        texts: list[str] = []
        finish_reason = None
        try:
            async for written in self.engine.submit(request):
                chunk = parting.part(written)
                texts.append(chunk.text)
                finish_reason = chunk.finish_reason
        except PersonasError as error:
            logger.info("An unseen reply of %s failed: %s", request.adapters[0].adapter.name, error)
            return _Said(has_failed=True)
        finally:
            await self.engine.cancel(request.request_id)
        return _Said("".join(texts), finish_reason == "cancelled", finish_reason in (None, "error"))


def _stop(reply: _Unseen) -> None:
    if reply.task is not None:
        reply.task.cancel()


def _measure(exchange_id: str, reply: _Unseen, shown: str, said: _Said) -> dict[str, object]:
    """The row that is kept. Holds no words."""
    challenge, prompt = reply.challenge, reply.request.messages[-1].content

    def is_flawed(text: str) -> bool:
        return repeats_itself(text) or is_garbage(text, prompt=prompt)

    return {
        "exchange_id": exchange_id,
        "persona": challenge.persona,
        "base_model": challenge.base_slug,
        "challenger": challenge.version,
        "champion_words": len(words_of(shown)),
        "challenger_words": len(words_of(said.text)),
        "champion_is_flawed": is_flawed(shown),
        "challenger_is_flawed": is_flawed(said.text),
        "champion_voice": challenge.voice.share(shown),
        "challenger_voice": challenge.voice.share(said.text),
        "has_failed": said.has_failed,
    }
