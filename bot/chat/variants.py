"""Another answer to the same question, and the way back, in the messages that show the former one.

Every variant is an exchange of its own. Words that may not be written down are remembered until the bot restarts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from bot.chat.answers import asking_again, buttons_under, neighbour
from bot.chat.conversation import Transcript
from bot.chat.message_split import Page
from bot.chat.platform import Capabilities, IncomingMessage, ReplyScreen, ScreenGone
from bot.chat.replies import RunningReplies
from bot.chat.reply_pages import ReplyPages
from core.errors import InvalidInput, NotFound
from core.messages import ReplyChunk
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

BUSY = "This answer is being rewritten at this moment; wait until it stands."
NOT_KEPT = (
    "The words of that answer are not kept: without everybody's consent I remember them until I am restarted at most."
    " 🔄 writes another one."
)


class Variants:
    """The answers that one platform shows, each in turn, in the same messages."""

    def __init__(self, store: Store, source: str, replies: RunningReplies, capabilities: Capabilities) -> None:
        self._store = store
        self._source = source
        self._replies = replies
        self._capabilities = capabilities
        self._changing: set[str] = set()  # first variants of the answers whose messages change at this moment

    @contextmanager
    def alone(self, exchange: Exchange) -> Iterator[None]:
        """While the messages of an answer change, nobody else changes them. Raises InvalidInput for the second."""
        first = exchange.variant_of or exchange.id
        if first in self._changing or self._replies.is_running(exchange.id):
            raise InvalidInput(BUSY)
        self._changing.add(first)
        try:
            with self._replies.busy():
                yield
        finally:
            self._changing.discard(first)

    def asked_again(
        self,
        former: Exchange,
        transcript: Transcript,
        *,
        event_id: str,
        user_id: str,
        places: tuple[str, ...],
        needs_permission: bool,
    ) -> IncomingMessage:
        """The question of `former` once more, for the weights that its persona has now."""
        question = IncomingMessage.ending(
            transcript,
            source=self._source,
            event_id=event_id,
            user_id=user_id,
            places=places,
            needs_permission=needs_permission,
        )
        return asking_again(question, former)

    async def neighbour(self, exchange_id: str, step: int) -> Exchange | None:
        """The variant that stands so many steps from this one; None beyond the first and the last. Raises NotFound."""
        return await neighbour(self._store, exchange_id, step)

    async def show(self, screen: ReplyScreen, target: Exchange, words: str | None, onto: Sequence[str]) -> None:
        """Write `target`, whose words these are, over the messages `onto`.

        Raises NotFound where the words are not known any more, ScreenGone and ScreenRefused.
        """
        if words is None:
            raise NotFound(NOT_KEPT)
        buttons = await buttons_under(self._store, target.id)
        end = ReplyChunk(finish_reason="stop")
        pages = ReplyPages(self._capabilities.max_chars, screen.header, self._capabilities.small_print)
        shown = pages.pages_of(words, end, None)
        await self._note(screen, target, onto[: len(shown)], is_final=False)  # a thumb may come as soon as they change
        keys = []
        for page, text in enumerate(one.text for one in shown):
            await self._replies.budget(screen.channel_key).take(is_final=True)
            if page < len(onto):
                await screen.edit(onto[page], text)
            keys.append(onto[page] if page < len(onto) else await screen.post(text))
        left_over = onto[len(keys) :]
        await self._note(screen, target, keys, left_over, is_final=True, shown=shown)
        await self._replies.budget(screen.channel_key).take(is_final=True)
        await screen.show_buttons(buttons)  # last: a press must find what is shown
        for key in left_over:
            with suppress(ScreenGone):  # somebody was faster
                await screen.remove(key)

    async def _note(
        self,
        screen: ReplyScreen,
        target: Exchange,
        keys: Sequence[str],
        left_over: Sequence[str] = (),
        *,
        is_final: bool,
        shown: Sequence[Page] = (),
    ) -> None:
        """Note which messages show `target`; what is not final is mended where the program ends meanwhile."""
        async with self._store.write() as session:
            for page, key in enumerate(keys):
                page_id = screen.moved.get(key, key)
                await exchanges.add_delivery(session, target.id, page_id, position=page, is_final=is_final)
            if is_final:
                marks = {
                    screen.moved.get(key, key): (page.head, page.tail) for key, page in zip(keys, shown, strict=True)
                }
                await exchanges.finish_deliveries(session, target.id, marks=marks)
            for key in left_over:
                await exchanges.remove_delivery(session, self._source, key)
