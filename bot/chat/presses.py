"""What a press of a button under a reply does, on any platform: the one table of it. Knows no SDK.

A platform tells of a press as a `Press`, and draws what it is asked to draw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol, TypeAlias

from bot.chat.buttons import UNKNOWN, ReplyButtons, buttons_of
from bot.chat.conversations import Conversations
from bot.chat.duels import Duels
from bot.chat.endings import HAS_ENDED, Endings
from bot.chat.judging import CHOSEN, INVITATION, KEPT, NEEDED, TAKEN_BACK, THANKS, Judging
from bot.chat.memory import Memory
from bot.chat.platform import Capabilities, ReplyScreen
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.variants import Variants
from core.errors import NotFound, PermissionNeeded
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import Store
from core.store.duels import Choice
from core.store.models import Exchange

OUTDATED = "This button is of an earlier version of mine and does nothing any more."


@dataclass(frozen=True, slots=True)
class FurtherButton:
    """A button below a word to one person alone, about the same reply."""

    verb: str
    label: str
    emoji: str = ""


TAKE_THUMB_BACK = FurtherButton("unvote", "Take it back")
TAKE_PICK_BACK = FurtherButton("unpick", "Take it back")
TAKE_VOTE_BACK = FurtherButton("revoke", "Take it back")
WRITE_BETTER = FurtherButton("better", "Write a better answer", "📝")


@dataclass(frozen=True, slots=True)
class ShownReply:
    """What the pressed message shows now, and all messages that show it, page by page."""

    exchange: Exchange
    pages: tuple[str, ...]


class Press(Protocol):
    """Who pressed what, where. What raises here is told to them like the errors of the table."""

    @property
    def exchange_id(self) -> str:
        """The exchange that the button names."""

    @property
    def key(self) -> str:
        """The message with the button."""

    @property
    def event_id(self) -> str:
        """The same however often this press is delivered."""

    @property
    def user_id(self) -> str: ...

    @property
    def places(self) -> tuple[str, ...]: ...

    @property
    def needs_permission(self) -> bool:
        """Whether those who manage the place decide what may be kept there."""

    async def may_manage(self) -> bool:
        """Whether the person moderates the place. Asked only where it matters."""

    async def screen_on(self, shown: ShownReply, model: str) -> tuple[ReplyScreen, Sequence[str]]:
        """A screen that lets `model` rewrite these messages, and which of them it can change."""

    async def tell(self, sentence: str, *buttons: FurtherButton) -> None:
        """Say something to this person alone."""

    async def replace(self, sentence: str) -> None:
        """Let the message with the button, which only this person sees, say this and nothing else."""

    async def draw(self, buttons: ReplyButtons) -> None:
        """Put these buttons under the message in place of the pressed ones, where that goes without its words."""

    async def open_form(self) -> None:
        """Show the form for a better answer; what is written comes back to `Presses.keep_better_answer`."""


Handler: TypeAlias = Callable[[Press], Awaitable[None]]


class Presses:
    """`do` what a button says. Raises PersonasError, with a sentence for the person who pressed."""

    def __init__(
        self,
        platform: Capabilities,
        store: Store,
        replies: RunningReplies,
        memory: Memory,
        conversations: Conversations,
        judging: Judging,
        variants: Variants,
        endings: Endings,
        duels: Duels,
    ) -> None:
        self._platform = platform
        self._store = store
        self._replies = replies
        self._memory = memory
        self._conversations = conversations
        self._judging = judging
        self._variants = variants
        self._endings = endings
        self._duels = duels
        self._handlers: Mapping[str, Handler] = MappingProxyType(
            {
                "up": self._like,
                "down": self._dislike,
                "unvote": self._take_thumb_back,
                "best": self._pick,
                "unpick": self._take_pick_back,
                "better": self._open_form,
                "again": self._answer_again,
                "previous": partial(self._turn, -1),
                "next": partial(self._turn, 1),
                "place": self._leave_alone,
                "stop": self._stop,
                "delete": self._delete,
                "first": partial(self._vote, "first"),
                "tie": partial(self._vote, "tie"),
                "second": partial(self._vote, "second"),
                "revoke": self._take_vote_back,
            }
        )

    async def do(self, verb: str, press: Press) -> None:
        await self._handlers.get(verb, self._explain)(press)

    async def keep_better_answer(self, press: Press, text: str) -> None:
        """The form was sent. Its text is kept only where everybody has agreed to that."""
        obstacle = await self._judging.keep_better_answer(
            press.exchange_id, press.user_id, text, press.places, needs_permission=press.needs_permission
        )
        if obstacle is not None:
            raise PermissionNeeded(NEEDED[obstacle].format(place=self._platform.wide_place))
        await press.tell(KEPT)

    async def _like(self, press: Press) -> None:
        await self._judging.judge(press.exchange_id, press.user_id, label=True)
        await press.tell(THANKS.format(thumb="👍"), TAKE_THUMB_BACK)

    async def _dislike(self, press: Press) -> None:
        """Besides, a person who dislikes an answer may write a better one, where that could be kept."""
        await self._judging.judge(press.exchange_id, press.user_id, label=False)
        obstacle = await self._judging.obstacle_to_better_answer(
            press.user_id, press.places, needs_permission=press.needs_permission
        )
        words = INVITATION if obstacle is None else NEEDED[obstacle].format(place=self._platform.wide_place)
        write = (WRITE_BETTER,) if obstacle is None else ()
        await press.tell(f"{THANKS.format(thumb='👎')} {words}", *write, TAKE_THUMB_BACK)

    async def _take_thumb_back(self, press: Press) -> None:
        await self._judging.take_thumb_back(press.exchange_id, press.user_id)
        await press.replace(TAKEN_BACK)

    async def _pick(self, press: Press) -> None:
        """Prefer the variant that is shown to every other one."""
        count = await self._judging.pick(press.exchange_id, press.user_id)
        await press.tell(CHOSEN.format(count=count), TAKE_PICK_BACK)

    async def _take_pick_back(self, press: Press) -> None:
        await self._judging.take_pick_back(press.exchange_id, press.user_id)
        await press.replace(TAKEN_BACK)

    async def _open_form(self, press: Press) -> None:
        await press.open_form()

    async def _answer_again(self, press: Press) -> None:
        """Answer the question again with the weights that its persona has now. What hinders it is said in private."""
        shown = await self._shown_by(press)
        former = shown.exchange
        with self._variants.alone(former):
            if not self._replies.admit(press.event_id, press.user_id, press.places):
                return
            transcript = await self._conversations.read_again(former)
            if former.status == JobStatus.SUCCEEDED and (words := await self._conversations.reply_of(former)):
                self._memory.remember(former.id, transcript, words)  # they are about to be overwritten
            screen, onto = await press.screen_on(shown, former.model)
            question = self._variants.asked_again(
                former,
                transcript,
                event_id=press.event_id,
                user_id=press.user_id,
                places=press.places,
                needs_permission=press.needs_permission,
            )

            async def make_screen(_reply: PendingReply) -> ReplyScreen:
                return screen

            await self._replies.answer(question, make_screen, refuse=press.tell, onto=onto)

    async def _turn(self, step: int, press: Press) -> None:
        """Show the variant that stands so many steps from the pressed one."""
        shown = await self._shown_by(press)
        with self._variants.alone(shown.exchange):
            target = await self._variants.neighbour(press.exchange_id, step)
            if target is not None:
                words = await self._conversations.reply_of(target)
                screen, onto = await press.screen_on(shown, target.model)
                await self._variants.show(screen, target, words, onto)

    async def _stop(self, press: Press) -> None:
        """What has been written stays."""
        if await self._endings.stop(press.exchange_id, press.user_id, may_manage=press.may_manage):
            return
        await press.tell(HAS_ENDED)
        if not self._replies.is_running(press.exchange_id):
            variants = await self._endings.variants(press.exchange_id)  # as they are now that it has ended
            await press.draw(buttons_of(variants, press.exchange_id))

    async def _delete(self, press: Press) -> None:
        variants = await self._endings.stopped(press.exchange_id, press.user_id, may_manage=press.may_manage)
        shown = await self._shown_by(press)
        screen, pages = await press.screen_on(shown, shown.exchange.model)
        await self._endings.take_away(screen, pages, variants)

    async def _vote(self, choice: Choice, press: Press) -> None:
        """On a duel, whose first reply the button names."""
        await press.tell(await self._duels.vote(press.exchange_id, press.user_id, choice), TAKE_VOTE_BACK)

    async def _take_vote_back(self, press: Press) -> None:
        await self._duels.take_back(press.exchange_id, press.user_id)
        await press.replace(TAKEN_BACK)

    async def _leave_alone(self, _press: Press) -> None:
        """2/3 is no button, though one platform can show it only as one."""

    async def _explain(self, press: Press) -> None:
        await press.tell(OUTDATED)

    async def _shown_by(self, press: Press) -> ShownReply:
        """What the pressed message shows now; the exchange that its button names, where nothing is noted of it.

        Raises NotFound.
        """
        async with self._store.read() as session:
            exchange = await exchanges.find_by_delivery(session, self._platform.source, press.key)
            if exchange is not None:
                pages = await exchanges.deliveries_of(session, exchange.id)
                return ShownReply(exchange, tuple(page.message_id for page in pages))
            exchange = await exchanges.find(session, press.exchange_id)
        if exchange is None:
            raise NotFound(UNKNOWN)
        return ShownReply(exchange, (press.key,))
