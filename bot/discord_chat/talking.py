"""Answers one question on one screen: may they ask? -> ledger and queue -> stream -> deliveries and buttons.

Knows replies that run, so that they can be stopped, waited for and drained. Knows no events and no channels.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import discord

from bot.chat.access import Access, NotAllowed, is_silent
from bot.chat.edit_budget import EditBudget
from bot.chat.platform import Placeholder
from bot.chat.reply_stream import Delivered, ReplyStream, ScreenGone, ScreenRefused, ScreenUnreachable
from bot.chat.responder import DuplicateEvent, PendingReply
from bot.discord_chat.asks import Ask
from bot.discord_chat.context import Context
from bot.discord_chat.places import SOURCE
from bot.discord_chat.refusals import sentence_of
from bot.discord_chat.screens import DiscordScreen, is_old
from bot.service.service import Service
from core.errors import PersonasError, StoreUnavailable
from core.store import exchanges, places

MAX_CHARS = 2000  # of a message
EDITS, EDITS_PER_S = 4, 5.0  # Discord lets a channel's messages be edited about five times in five seconds
MAX_REMEMBERED = 4096
LAST_WORDS_S = 10.0  # for the last edits of replies that were stopped
LEAVING = "I am being restarted; ask me again in a minute, please."

Refuse = Callable[[str], Awaitable[object]]
Row = Callable[[str, bool], Awaitable[discord.ui.View]]
"""The buttons under an exchange's reply; the second argument says whether it is still being written."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Running:
    reply: PendingReply
    ask: Ask
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)


class Talking:
    """All replies that this process gives on Discord."""

    def __init__(self, service: Service, access: Access, context: Context) -> None:
        self._service = service
        self._access = access
        self._context = context
        self._budgets: dict[int, EditBudget] = {}
        self._running: dict[str, _Running] = {}
        self._coming: dict[str, asyncio.Event] = {}
        self._busy: set[asyncio.Task[object]] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._is_leaving = False

    async def answer(
        self,
        ask: Ask,
        screen: DiscordScreen,
        *,
        row: Row | None = None,
        onto: Sequence[str] = (),
        refuse: Refuse | None = None,
    ) -> Delivered | None:
        """Answer once, however often the event comes. None when nothing was written.

        `onto` are messages that show an earlier reply and are written anew. Why there is no answer is said with
        `refuse`, by default on the screen; to a bot nothing is said.
        """
        if self.is_known(ask.event_id):
            return None
        with self.busy():
            thinking = None if screen.thinking is None else Placeholder(screen.thinking, screen.token)
            reply = await self._open(ask, refuse or screen.post, thinking)
            return None if reply is None else await self._deliver(reply, ask, screen, row, onto)

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

    def budget(self, channel_id: int) -> EditBudget:
        """The channel's one budget, whoever writes there."""
        budget = self._budgets[channel_id] = self._budgets.pop(channel_id, EditBudget(EDITS, EDITS_PER_S))
        if len(self._budgets) > MAX_REMEMBERED:
            del self._budgets[next(iter(self._budgets))]
        return budget

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around work that `drain` waits for."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)

    @contextmanager
    def coming(self, question_id: str) -> Iterator[None]:
        """Around the time from the moment a message is heard to that when it is in the ledger, or is no question."""
        if question_id in self._coming:  # the event came twice
            yield
            return
        self._coming[question_id] = asyncio.Event()
        try:
            yield
        finally:
            self._coming.pop(question_id).set()

    async def stop_answers_to(self, question_id: str) -> None:
        """Stop what is or is about to be written in answer to this message, and wait until it has stopped."""
        if has_come := self._coming.get(question_id):
            await has_come.wait()
        await self._stop_where(lambda ask: ask.question_id == question_id)

    async def stop_in(self, place_ids: Collection[str]) -> None:
        """Stop what is being written in any of these places, and wait until it has stopped."""
        await self._stop_where(lambda ask: any(place in place_ids for place in ask.places))

    async def stop_for(self, user_id: str) -> None:
        """Stop what is being written for this person, and wait until it has stopped."""
        await self._stop_where(lambda ask: ask.user_id == user_id)

    async def _stop_where(self, is_meant: Callable[[Ask], bool]) -> None:
        for exchange_id, running in list(self._running.items()):
            if is_meant(running.ask):
                await running.reply.cancel()
                await self.ended(exchange_id)

    async def drain(self, timeout_s: float) -> None:
        """Answer nothing new, let running replies end, and stop those that take longer than `timeout_s`.

        Nothing runs any more afterwards, also when this is cancelled.
        """
        self._is_leaving = True
        try:
            if self._busy:
                await asyncio.wait(self._busy, timeout=timeout_s)
            for running in list(self._running.values()):
                await running.reply.cancel()
            if self._busy:
                await asyncio.wait(self._busy, timeout=LAST_WORDS_S)
        finally:
            for task in self._busy:  # Discord does not answer, or nobody waits; the next start finds what they leave
                task.cancel()
            if self._busy:
                await asyncio.wait(self._busy)

    async def model_for(self, place_ids: Sequence[str]) -> str:
        """Who answers here: the blend spec of the narrowest place that chose one, or the default persona."""
        async with self._service.store.session() as session:
            return await places.model_of(session, *place_ids) or self._service.default_persona

    def is_known(self, event_id: str) -> bool:
        """Whether this process was asked about the event before; the ledger knows the older ones."""
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return False

    async def _open(self, ask: Ask, refuse: Refuse, thinking: Placeholder | None) -> PendingReply | None:
        """Queue the reply, or say why there is none; a "thinking…" must end in any case."""
        try:
            if self._is_leaving:
                raise NotAllowed(LEAVING)
            self._access.check(ask.user_id, ask.places, is_bot=ask.is_bot)
            return await self._service.responder.open(ask.to_message(thinking))
        except DuplicateEvent:
            return None
        except PersonasError as error:
            if thinking is not None or not (is_silent(error) or ask.is_bot):
                await self._say(refuse, sentence_of(error))
            return None

    async def _deliver(
        self, reply: PendingReply, ask: Ask, screen: DiscordScreen, row: Row | None, onto: Sequence[str]
    ) -> Delivered:
        exchange_id = reply.exchange_id
        running = self._running[exchange_id] = _Running(reply, ask)
        if has_come := self._coming.get(ask.question_id or ""):
            has_come.set()
        screen.on_removing = self._forget_delivery
        note_page = partial(self._note_page, exchange_id, screen)
        try:
            screen.row = await self._buttons(row, exchange_id, is_running=True)
            budget = self.budget(screen.channel_id)
            stream = ReplyStream(
                screen,
                budget,
                limit=MAX_CHARS,
                header=screen.header,
                remarks=ask.said.remarks,
                on_posted=note_page,
            )
            delivered = await stream.deliver(reply, onto=onto, is_seldom_edited=any(map(is_old, onto)))
            await self._note_end(exchange_id, screen, delivered)
            if delivered.finish_reason in ("stop", "length"):
                self._context.remember(exchange_id, ask.said, delivered.text)
        finally:
            del self._running[exchange_id]
            running.has_ended.set()
        if delivered.error:
            logger.info("reply %s: %s", exchange_id, delivered.error)
        is_row_due = row is not None and delivered.message_ids and delivered.is_shown
        if is_row_due and not await self._show_row(await self._buttons(row, exchange_id, is_running=False), screen):
            await self._note_end(exchange_id, screen, replace(delivered, is_shown=False))
        return delivered

    async def _buttons(self, row: Row | None, exchange_id: str, *, is_running: bool) -> discord.ui.View | None:
        """The row; none where the store is out of order, for the reply goes on without."""
        try:
            return None if row is None else await row(exchange_id, is_running)
        except PersonasError as error:
            logger.warning("reply %s has no buttons: %s", exchange_id, error)
            return None

    async def _show_row(self, view: discord.ui.View | None, screen: DiscordScreen) -> bool:
        """False when Discord is out of reach; where it refuses, it stays so."""
        try:
            await self.budget(screen.channel_id).take(is_final=True)
            await screen.show_row(view)
        except (ScreenGone, ScreenRefused) as error:
            logger.info("The buttons could not be shown: %s", error)
            return not isinstance(error, ScreenUnreachable)
        return True

    async def _note_page(self, exchange_id: str, screen: DiscordScreen, message_id: str, page: int) -> None:
        """Remember which message shows a page. Without the store the reply goes on; `_note_end` tries again."""
        try:
            async with self._service.store.session() as session:
                await exchanges.remove_delivery(session, SOURCE, screen.thinking or message_id)
                await exchanges.add_delivery(
                    session, exchange_id, message_id, position=page, is_final=False, token=screen.token
                )
        except PersonasError as error:
            logger.warning("reply %s: %s", exchange_id, error)

    async def _note_end(self, exchange_id: str, screen: DiscordScreen, delivered: Delivered) -> None:
        """What is not shown to its end stays noted as such, so that `Recovery` mends it."""
        shown = [screen.moved.get(message_id, message_id) for message_id in delivered.message_ids]
        try:
            async with self._service.store.session() as session:
                for former in filter(None, (*screen.moved, screen.thinking if delivered.is_shown or shown else None)):
                    await exchanges.remove_delivery(session, SOURCE, former)
                note = partial(exchanges.add_delivery, is_final=delivered.is_shown, token=screen.token)
                for page, message_id in enumerate(shown):
                    await note(session, exchange_id, message_id, position=page)
                if delivered.is_shown:
                    await exchanges.finish_deliveries(session, exchange_id)
        except PersonasError as error:
            logger.warning("reply %s: %s", exchange_id, error)

    async def _forget_delivery(self, message_id: str) -> None:
        """A page that is taken away shows nothing any more, so its deletion is none of a person's."""
        with suppress(StoreUnavailable):
            async with self._service.store.session() as session:
                await exchanges.remove_delivery(session, SOURCE, message_id)

    async def _say(self, say: Refuse, sentence: str) -> None:
        try:
            await say(sentence[:MAX_CHARS])
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A word could not be said: %s", error)
