"""🔄 and ◀ 2/3 ▶, ⏹ and the bin: what changes or ends a reply in the messages that show it."""

from __future__ import annotations

from functools import partial

from bot.chat.endings import HAS_ENDED, Endings
from bot.chat.memory import Memory
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.variants import Variants
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import needs_permission
from bot.slack_chat.people import People
from bot.slack_chat.pressed import Pressed, ShownReply, shown_by
from bot.slack_chat.screens import SlackScreen
from bot.slack_chat.speaker import Speaker
from core.errors import PermissionNeeded
from core.queue.jobs import JobStatus
from core.store.db import Store


class Rewrites:
    """Raises NotFound, NotAllowed, TooFast, PermissionNeeded and what reading the conversation raises."""

    def __init__(
        self,
        store: Store,
        replies: RunningReplies,
        memory: Memory,
        variants: Variants,
        endings: Endings,
        history: History,
        identities: Identities,
        people: People,
        speaker: Speaker,
    ) -> None:
        self._store = store
        self._replies = replies
        self._memory = memory
        self._variants = variants
        self._endings = endings
        self._history = history
        self._identities = identities
        self._people = people
        self._speaker = speaker

    async def again(self, pressed: Pressed) -> None:
        """Answer the question again with the weights that its persona has now."""
        event_id = f"regenerate:{pressed.trigger_id or pressed.key}"
        shown = await shown_by(self._store, pressed)
        former = shown.exchange
        with self._variants.alone(former):
            if not self._replies.admit(event_id, pressed.user_id, pressed.places):
                return
            transcript = await self._history.read_again(former)
            if former.status == JobStatus.SUCCEEDED and (words := await self._history.reply_of(former)):
                self._memory.remember(former.id, transcript, words)  # they are about to be overwritten
            question = self._variants.asked_again(
                former,
                transcript,
                event_id=event_id,
                user_id=pressed.user_id,
                places=pressed.places,
                needs_permission=needs_permission(pressed.places),
            )
            tell = partial(self._speaker.tell, pressed.channel, pressed.thread_ts, pressed.user)

            async def make_screen(reply: PendingReply) -> SlackScreen:
                return self._screen(pressed, shown, reply.model)

            await self._replies.answer(question, make_screen, refuse=tell, onto=shown.pages)

    async def previous(self, pressed: Pressed) -> None:
        await self._turn(pressed, -1)

    async def following(self, pressed: Pressed) -> None:
        await self._turn(pressed, 1)

    async def _turn(self, pressed: Pressed, step: int) -> None:
        """Show the variant that stands so many steps from the pressed one."""
        shown = await shown_by(self._store, pressed)
        with self._variants.alone(shown.exchange):
            target = await self._variants.neighbour(pressed.value, step)
            if target is not None:
                words = await self._history.reply_of(target)
                await self._variants.show(self._screen(pressed, shown, target.model), target, words, shown.pages)

    async def stop(self, pressed: Pressed) -> None:
        """What has been written stays."""
        if not await self._endings.stop(pressed.value, pressed.user_id, may_manage=await self._may_manage(pressed)):
            await self._speaker.tell(pressed.channel, pressed.thread_ts, pressed.user, HAS_ENDED)

    async def delete(self, pressed: Pressed) -> None:
        may_manage = await self._may_manage(pressed)
        variants = await self._endings.stopped(pressed.value, pressed.user_id, may_manage=may_manage)
        shown = await shown_by(self._store, pressed)
        screen = self._screen(pressed, shown, shown.exchange.model)
        await self._endings.take_away(screen, shown.pages, variants)

    async def _may_manage(self, pressed: Pressed) -> bool:
        """Slack is asked only about those who did not ask themselves."""
        askers = {variant.user_id for variant in await self._endings.variants(pressed.value)}
        try:
            return pressed.user_id not in askers and await self._people.is_admin(pressed.user)
        except PermissionNeeded:  # Slack does not say
            return False

    def _screen(self, pressed: Pressed, shown: ShownReply, model: str) -> SlackScreen:
        return self._identities.screen_on(shown.pages[0], pressed.thread_ts, model)
