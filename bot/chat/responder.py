"""The bot's story: which persona answers? -> ledger -> queue -> stream. Knows no chat platform and no engine."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.chat.keeping import obstacle_to_keeping
from bot.chat.platform import NOT_POSTED, IncomingMessage, Placeholder
from core import prompts
from core.adapters.choice import choose_adapters, choose_version
from core.adapters.registry import Registry
from core.blends import Blend, parse_blend
from core.errors import InvalidInput, PersonasError
from core.generation import SamplingOverrides, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, ReplyChunk, Usage
from core.personas import Persona, check_blend
from core.queue.jobs import JobStatus, ReplyJob, ReplyUpdate
from core.queue.protocol import JobQueue
from core.store import exchanges, places
from core.store.db import Session, Store
from core.store.places import PlaceChoices
from core.store.sessions import to_the_end
from core.text_check import check_text

MAX_CONVERSATION_CHARS = 400_000  # far beyond any context; what is longer is refused before it is stored
MAX_ID_CHARS = 512
NOT_QUEUED = "The message could not be queued; send it again, please."


class DuplicateEvent(InvalidInput):
    """The platform delivered an event twice; the first delivery is answered."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class PendingReply:
    """A reply on its way. `model` is the canonical blend spec, `created_at` a unix time in seconds.

    `choices` are those of the places where it was asked, as they stood when the reply was queued.
    """

    exchange_id: str
    model: str
    created_at: float
    _queue: JobQueue = field(repr=False)
    choices: PlaceChoices = field(default_factory=PlaceChoices)

    async def chunks(self) -> AsyncGenerator[ReplyChunk]:
        """The reply as it streams; the last chunk has a finish_reason. Closing the iterator early cancels the job."""
        async with aclosing(self.updates()) as updates:
            async for update in updates:
                if isinstance(update, ReplyChunk):
                    yield update

    async def updates(self) -> AsyncGenerator[ReplyUpdate]:
        """The same, with where the reply stands in the queue before its first chunk."""
        is_finished = False
        try:
            async with aclosing(self._queue.updates(self.exchange_id)) as updates:
                async for update in updates:
                    is_finished = isinstance(update, ReplyChunk) and update.finish_reason is not None
                    yield update
            if not is_finished:
                is_finished = True
                error = "The service is stopping before this reply was finished; send the message again in a minute."
                yield ReplyChunk(finish_reason="error", error=error, error_status=503)
        finally:
            if not is_finished:
                await self.cancel()

    async def cancel(self) -> None:
        """Stop the reply; its reader gets a last chunk "cancelled"."""
        await self._queue.cancel(self.exchange_id)


class Responder:
    """Takes messages from every platform, whether or not an engine is loaded yet.

    `max_new_tokens` is the longest reply where neither persona nor message says otherwise, `reply_timeout_s` the
    deadline. The base model's own sampling defaults are the worker's to add: only it knows its engine.
    """

    def __init__(
        self,
        *,
        personas: Mapping[str, Persona],
        store: Store,
        registry: Registry,
        queue: JobQueue,
        base_model_slug: str,
        max_new_tokens: int,
        default_persona: str,
        reply_timeout_s: float,
    ) -> None:
        self._personas = personas
        self._store = store
        self._registry = registry
        self._queue = queue
        self._base_model_slug = base_model_slug
        self._defaults = SamplingOverrides(max_new_tokens=max_new_tokens)
        self._default_persona = default_persona
        self._reply_timeout_s = reply_timeout_s

    async def open(self, incoming: IncomingMessage) -> PendingReply:
        """Write the message into the ledger and queue its reply.

        Raises InvalidInput (InvalidBlend, DuplicateEvent), NotFound, QueueFull and StoreUnavailable, and what another
        queue raises. An exchange that was recorded but not queued is settled as failed.
        """
        _check(incoming)
        opening = asyncio.create_task(self._record_and_enqueue(incoming))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # the sender left, but nothing may be recorded and then forgotten
            await to_the_end(_abandon(opening))
            raise

    async def _record_and_enqueue(self, incoming: IncomingMessage) -> PendingReply:
        """What is decided about the message and what is written of it are one transaction."""
        facts = await self._queue.facts()
        if facts is not None:  # else the worker refuses what it cannot read
            _check_fits(incoming.messages[-1], facts.max_message_chars)
        async with self._store.write() as session:
            choices = await places.choices_of(session, incoming.conversation_id, *incoming.places)
            blend = self._choose_blend(incoming, choices)
            adapters = await self._choose_adapters(session, blend, incoming)
            if facts is not None:  # else the worker refuses what it cannot do
                facts.capabilities.check(adapters, seed=incoming.sampling.seed)
            is_text_kept = await _may_keep_text(session, incoming, choices)
            exchange = self._exchange(incoming, blend, adapters, is_text_kept=is_text_kept)
            await _record(session, exchange, incoming.placeholder)
        now = time.time()
        try:
            job = ReplyJob(
                exchange_id=exchange.id,
                conversation_id=incoming.conversation_id,
                messages=incoming.messages,
                user_id=incoming.user_id,
                system_prompt=prompts.system_prompt(self._personas, blend),
                adapters=adapters,
                sampling=exchange.sampling,
                enqueued_at=now,
                timeout_s=self._reply_timeout_s,
            )
            await self._queue.enqueue(job)
        except BaseException as error:  # whatever it is, nobody would ever answer this exchange
            sentence = error.public_sentence if isinstance(error, PersonasError) else NOT_QUEUED
            await self._settle_refused(exchange.id, incoming, sentence)
            raise
        return PendingReply(exchange.id, exchange.model, now, self._queue, choices)

    def _choose_blend(self, incoming: IncomingMessage, choices: PlaceChoices) -> Blend:
        """The persona or blend of the message, else of its conversation, else of its places, else the default."""
        return check_blend(
            self._personas, parse_blend(incoming.model or choices.settings.model or self._default_persona)
        )

    async def _choose_adapters(
        self, session: Session, blend: Blend, incoming: IncomingMessage
    ) -> tuple[WeightedAdapter, ...]:
        """The adapter versions that answer; a persona without one speaks through its system prompt alone."""
        slugs, base_slug = [part.slug for part in blend.parts], self._base_model_slug
        if incoming.version is None:
            found = await choose_adapters(
                session, self._registry, slugs, base_slug, conversation_id=incoming.conversation_id
            )
        elif len(slugs) == 1:
            found = await choose_version(session, self._registry, slugs[0], base_slug, incoming.version)
        else:
            raise InvalidInput(f'"{blend}" has no versions; name a single persona.')
        return tuple(WeightedAdapter(found[part.slug].ref, part.weight) for part in blend.parts if part.slug in found)

    def _exchange(
        self, incoming: IncomingMessage, blend: Blend, adapters: tuple[WeightedAdapter, ...], *, is_text_kept: bool
    ) -> exchanges.NewExchange:
        return exchanges.NewExchange(
            id=exchanges.new_exchange_id(),
            source=incoming.source,
            event_id=incoming.event_id,
            conversation_id=incoming.conversation_id,
            user_id=incoming.user_id,
            model=str(blend),
            base_model=self._base_model_slug,
            adapters=adapters,
            prompt=incoming.messages if is_text_kept else None,
            sampling=self._sampling(blend, incoming.sampling),
            variant_of=incoming.variant_of,
            question_id=incoming.question_id,
            places=incoming.places,
            quotes=incoming.quotes,
        )

    def _sampling(self, blend: Blend, asked: SamplingOverrides) -> SamplingOverrides:
        """The settings' <- the heaviest persona's <- the message's, with a seed in any case."""
        sampling = self._defaults
        if not blend.is_base:
            sampling = self._personas[blend.parts[0].slug].sampling.over(sampling)
        sampling = asked.over(sampling)
        return sampling if sampling.seed is not None else replace(sampling, seed=random.getrandbits(63))

    async def _settle_refused(self, exchange_id: str, incoming: IncomingMessage, error: str) -> None:
        """The refusal takes the placeholder's place, so nothing is left to be shown."""
        async with self._store.write() as session:
            if incoming.placeholder is not None:
                await exchanges.remove_delivery(session, incoming.source, incoming.placeholder.message_id)
            await exchanges.settle(
                session,
                exchange_id,
                status=JobStatus.FAILED,
                reply="",
                finish_reason="error",
                usage=Usage(),
                error=error,
            )


async def _abandon(opening: asyncio.Task[PendingReply]) -> None:
    """Cancel a reply as soon as it is in the queue."""
    await asyncio.wait({opening})
    if opening.exception() is None:
        await opening.result().cancel()


async def _may_keep_text(session: Session, incoming: IncomingMessage, choices: PlaceChoices) -> bool:
    obstacle = await obstacle_to_keeping(
        session,
        {incoming.user_id, *(quote.user_id for quote in incoming.quotes if quote.user_id)},
        needs_consent=incoming.needs_consent,
        needs_permission=incoming.needs_permission,
        is_text_kept=choices.settings.is_text_kept,
    )
    return obstacle is None


async def _record(session: Session, exchange: exchanges.NewExchange, placeholder: Placeholder | None) -> None:
    """Raises DuplicateEvent, and what `exchanges.record` raises."""
    if not await exchanges.record(session, exchange):
        raise DuplicateEvent(
            f'The {exchange.source} event "{exchange.event_id}" was received before and is answered once.'
        )
    if placeholder is not None:
        key, token = placeholder.message_id, placeholder.token
        await exchanges.add_delivery(session, exchange.id, key, position=NOT_POSTED, is_final=False, token=token)


def _check(incoming: IncomingMessage) -> None:
    """Refuse what no model could answer or no ledger could hold. Raises InvalidInput."""
    _check_conversation(incoming.messages)
    names = {"source": incoming.source, "event": incoming.event_id, "conversation": incoming.conversation_id}
    for what, text in {**names, "user": incoming.user_id}.items():
        if not 0 < len(text) <= MAX_ID_CHARS:
            raise InvalidInput(f"The {what} id is {len(text)} characters long; use 1 to {MAX_ID_CHARS}.")
        check_text(f"The {what} id", text)
    check_text("The model name", incoming.model or "")
    incoming.sampling.apply(SamplingParams())  # each value has limits of its own, whatever the defaults are
    for text in incoming.sampling.stop or ():
        check_text("A stop string", text)


def _check_conversation(messages: Sequence[ChatMessage]) -> None:
    turns = [message for message in messages if message.role != "system"]  # those may stand anywhere
    if not turns or turns[-1].role != "user" or not turns[-1].content.strip():
        raise InvalidInput("The conversation must end with a message of the user that is not empty; write one.")
    size = sum(len(message.content) for message in messages)
    if size > MAX_CONVERSATION_CHARS:
        raise InvalidInput(
            f"The conversation is {size} characters long; at most {MAX_CONVERSATION_CHARS} are allowed, send less."
        )
    for message in messages:
        check_text("A message", message.content)


def _check_fits(last: ChatMessage, max_chars: int) -> None:
    """Only the last message must fit; older ones are left out. Raises InvalidInput."""
    if len(last.content) > max_chars:
        raise InvalidInput(
            f"The message is too long: {len(last.content)} characters, and this model has room for {max_chars} at"
            " the very most; send a shorter one."
        )
