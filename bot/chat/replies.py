"""The replies that one process gives on one platform: answered, stopped, waited for, drained.

The way of a question: `admit` it before anything is read -> `answer`: ledger and queue -> screen -> stream -> its
messages noted -> buttons.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, cast

from bot.chat.access import Access, NotAllowed
from bot.chat.buttons import ReplyButtons
from bot.chat.deliveries import Deliveries
from bot.chat.edit_budget import EditBudget
from bot.chat.memory import Memory
from bot.chat.platform import (
    Capabilities,
    IncomingMessage,
    ReplyScreen,
    ScreenGone,
    ScreenRefused,
    ScreenUnreachable,
)
from bot.chat.reply_stream import Delivered, ReplyStream
from bot.chat.responder import DuplicateEvent, PendingReply, Responder
from bot.chat.wording import sentence_of
from core.errors import PersonasError

MAX_REMEMBERED = 4096  # events and channels
LAST_WORDS_S = 10.0  # for the last edits of replies that were stopped
LEAVING = "I am being restarted; ask me again in a minute, please."

Refuse: TypeAlias = Callable[[str], Awaitable[object]]
"""Tells the person who asked why there is no answer."""
MakeScreen: TypeAlias = Callable[[PendingReply], Awaitable[ReplyScreen]]

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Running:
    reply: PendingReply
    message: IncomingMessage
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)


class RunningReplies:
    """Knows the replies that are being written, by the id of their exchange."""

    def __init__(
        self,
        responder: Callable[[], Responder],
        deliveries: Deliveries,
        access: Access,
        memory: Memory,
        capabilities: Capabilities,
        *,
        shows_thoughts: bool = False,
    ) -> None:
        """`shows_thoughts`: people see what a reasoning model thinks, too."""
        self._responder = responder
        self._deliveries = deliveries
        self._access = access
        self._memory = memory
        self._capabilities = capabilities
        self._shows_thoughts = shows_thoughts
        self._budgets: OrderedDict[str, EditBudget] = OrderedDict()
        self._running: dict[str, _Running] = {}
        self._recording: dict[str, asyncio.Event] = {}
        self._busy: Counter[asyncio.Task[object]] = Counter()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._is_leaving = False

    def admit(
        self, event_id: str, user_id: str, place_ids: Sequence[str], *, is_bot: bool = False, replies: int = 1
    ) -> bool:
        """Whether this event is to be answered: False when it came before. Ask this first, before anything is read.

        It counts as so many messages as the replies it wants.
        Raises NotAllowed and TooFast for a person who may not ask here now, and while the program ends.
        """
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        if self._is_leaving:
            raise NotAllowed(LEAVING, is_silent=is_bot)
        self._access.check(user_id, place_ids, is_bot=is_bot, replies=replies)
        return True

    async def answer(
        self,
        message: IncomingMessage,
        make_screen: MakeScreen,
        *,
        refuse: Refuse,
        onto: Sequence[str] = (),
    ) -> Delivered | None:
        """Answer an admitted message once, however often its event comes. None when nothing was written.

        `make_screen` is called when the reply is in the queue, and who answers is known. `onto` are messages that show
        an earlier reply, which this one replaces. `refuse` says why there is no answer; a bot is told nothing.
        """
        with self.busy():
            try:
                reply = await self._responder().open(message)
            except DuplicateEvent:
                return None
            except PersonasError as error:
                if message.placeholder is not None or not message.is_bot:  # a "thinking…" must end in any case
                    await _say(refuse, sentence_of(error))
                return None
            return await self._deliver(reply, message, make_screen, onto)

    def is_running(self, exchange_id: str) -> bool:
        return exchange_id in self._running

    async def ended(self, exchange_id: str) -> None:
        """Return once this reply is shown to its end; at once when it is not being written."""
        if running := self._running.get(exchange_id):
            await running.has_ended.wait()

    async def stop(self, exchange_id: str) -> bool:
        """Stop writing this reply; False when it is not being written."""
        if running := self._running.get(exchange_id):
            await running.reply.cancel()
        return running is not None

    def budget(self, channel_key: str) -> EditBudget:
        """The channel's one budget for changes of its messages."""
        budget = self._budgets.get(channel_key)
        if budget is None:
            budget = EditBudget(self._capabilities.edits, self._capabilities.edits_window_s)
            self._budgets[channel_key] = budget
        self._budgets.move_to_end(channel_key)
        if len(self._budgets) > MAX_REMEMBERED:
            self._budgets.popitem(last=False)
        return budget

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around work that `drain` waits for; one task may enter it more than once."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._busy[task] += 1
        try:
            yield
        finally:
            self._busy[task] -= 1
            if not self._busy[task]:
                del self._busy[task]

    @contextmanager
    def writing(self, message: IncomingMessage, *replies: PendingReply) -> Iterator[None]:
        """Around the time in which these replies to a message are written: they can be stopped, and waited for."""
        running = [_Running(reply, message) for reply in replies]
        self._running.update({one.reply.exchange_id: one for one in running})
        if is_recorded := self._recording.get(message.question_id or ""):
            is_recorded.set()
        try:
            yield
        finally:
            for one in running:
                del self._running[one.reply.exchange_id]
                one.has_ended.set()

    @contextmanager
    def recording(self, question_id: str) -> Iterator[None]:
        """Around the time from when a message arrives to when it is in the ledger, or turns out to be no question."""
        if question_id in self._recording:  # the event came twice
            yield
            return
        self._recording[question_id] = asyncio.Event()
        try:
            yield
        finally:
            self._recording.pop(question_id).set()

    async def stop_answers_to(self, question_id: str) -> None:
        """Stop what is or is about to be written in answer to this message, and wait until it has stopped."""
        if is_recorded := self._recording.get(question_id):
            await is_recorded.wait()
        await self._stop_where(lambda message: message.question_id == question_id)

    async def stop_in(self, place_ids: Collection[str]) -> None:
        """Stop what is being written in any of these places, and wait until it has stopped."""
        await self._stop_where(lambda message: any(place in place_ids for place in message.places))

    async def stop_for(self, user_id: str) -> None:
        """Stop what is being written for this person, and wait until it has stopped."""
        await self._stop_where(lambda message: message.user_id == user_id)

    async def _stop_where(self, is_meant: Callable[[IncomingMessage], bool]) -> None:
        for exchange_id, running in list(self._running.items()):
            if is_meant(running.message):
                await running.reply.cancel()
                await self.ended(exchange_id)

    async def drain(self, timeout_s: float) -> None:
        """Answer nothing new, let running replies end, and stop those that take longer than `timeout_s`.

        Nothing runs any more afterwards, also when this is cancelled.
        """
        self._is_leaving = True
        try:
            if self._busy:
                await asyncio.wait(list(self._busy), timeout=timeout_s)
            for running in list(self._running.values()):
                await running.reply.cancel()
            if self._busy:
                await asyncio.wait(list(self._busy), timeout=LAST_WORDS_S)
        finally:
            for task in list(self._busy):  # the platform does not answer, or nobody waits; the next start mends it
                task.cancel()
            if self._busy:
                await asyncio.wait(list(self._busy))

    async def _deliver(
        self, reply: PendingReply, message: IncomingMessage, make_screen: MakeScreen, onto: Sequence[str]
    ) -> Delivered:
        exchange_id = reply.exchange_id
        with self.writing(message, reply):
            screen = await _made(make_screen, reply)
            screen.on_removing = self._deliveries.remove
            screen.buttons = ReplyButtons(exchange_id, is_running=True)
            delivered = await self._stream(exchange_id, screen, message).deliver(
                reply, onto=onto, is_seldom_edited=any(map(screen.is_seldom_edited, onto))
            )
            await self._deliveries.note_end(exchange_id, screen, delivered)
            self._remember(exchange_id, message, delivered)
        if delivered.error:
            logger.info("reply %s: %s", exchange_id, delivered.error)
        if delivered.message_ids and delivered.is_shown:
            buttons = await self._deliveries.buttons_due(exchange_id, message, delivered)
            if not await self._show_buttons(screen, buttons):
                await self._deliveries.note_end(exchange_id, screen, replace(delivered, is_shown=False))
        return delivered

    def _stream(self, exchange_id: str, screen: ReplyScreen, message: IncomingMessage) -> ReplyStream:
        return ReplyStream(
            screen,
            self.budget(screen.channel_key),
            limit=self._capabilities.max_chars,
            header=screen.header,
            small_print=self._capabilities.small_print,
            remarks=() if message.transcript is None else message.transcript.notes,
            shows_thoughts=self._shows_thoughts,
            on_posted=partial(self._deliveries.note_page, exchange_id, screen),
        )

    def _remember(self, exchange_id: str, message: IncomingMessage, delivered: Delivered) -> None:
        if message.transcript is not None and delivered.finish_reason in ("stop", "length"):
            self._memory.remember(exchange_id, message.transcript, delivered.text)

    async def _show_buttons(self, screen: ReplyScreen, buttons: ReplyButtons | None) -> bool:
        """False when the platform is out of reach; where it refuses, it stays so."""
        try:
            await self.budget(screen.channel_key).take(is_final=True)
            await screen.show_buttons(buttons)
        except (ScreenGone, ScreenRefused) as error:
            logger.info("The buttons could not be shown: %s", error)
            return not isinstance(error, ScreenUnreachable)
        return True


async def _made(make_screen: MakeScreen, reply: PendingReply) -> ReplyScreen:
    """The reply's screen. A reply that cannot be shown anywhere is cancelled."""
    try:
        return await make_screen(reply)
    except BaseException:
        await reply.cancel()
        raise


async def _say(refuse: Refuse, sentence: str) -> None:
    """Tell the person who asked why there is no answer; where the platform refuses that too, nothing is left to do."""
    try:
        await refuse(sentence)
    except (ScreenGone, ScreenRefused) as error:
        logger.info("A refusal could not be shown: %s", error)
