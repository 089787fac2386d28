"""Thumbs, picks and better answers, from buttons, reactions and the API. Knows no chat SDK."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bot.chat.buttons import UNKNOWN
from bot.chat.keeping import Obstacle, obstacle_to_keeping
from bot.chat.replies import RunningReplies
from core.errors import InvalidInput, NotFound, PermissionNeeded
from core.queue.jobs import JobStatus
from core.store import corrections, exchanges, feedback, places, preferences
from core.store.db import Session, Store

UNJUDGED = {
    JobStatus.FAILED: "This answer failed, so there is nothing to judge; 🔄 lets me try again.",
    JobStatus.CANCELLED: "This answer was stopped before its end, so there is nothing to judge; 🔄 writes another one.",
}
NOT_ENDED = "This answer is not noted to its end yet, so it cannot be judged; try again in a moment."
NOTHING_TO_CHOOSE = "There is no other finished answer to choose from any more."

THANKS = "{thumb} Noted, thank you."
TAKEN_BACK = "Taken back: it counts no longer."
CHOSEN = "✅ Noted, thank you: of the {count} answers to this question, you like this one best."
INVITATION = "What should it have said instead?"
NEEDED: dict[Obstacle, str] = {
    "person": "You could write a better answer if you allowed me to keep words of yours: see `/consent`, then press 👎"
    " again.",
    "place": "Better answers cannot be written here: who manages this {place} has not allowed me to keep words"
    " (`/settings`).",
}
NOTED = "📝 Noted, thank you."
KEPT = f"{NOTED} `/mydata` shows it, `/forget` erases it."

Standing: TypeAlias = Mapping[str, Collection[bool]]
"""The thumbs that a reply's messages have now, by user id."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that is said of a reply at once; what is left out stays as it was.

    `label` is a thumb, and `is_thumb_gone` takes it back. `is_best` prefers the reply to its variants; False takes
    that back.
    """

    label: bool | None = None
    is_thumb_gone: bool = False
    better_answer: str | None = None
    is_best: bool | None = None


class Judging:
    """What people of one platform, `source`, say about a reply.

    Where `replies` shows replies, one that is still being written is waited for. `takes_consent`: a better answer is
    kept only if its writer has agreed that words are. Everything here raises NotFound and InvalidInput with a
    friendly sentence, and StoreUnavailable.
    """

    def __init__(
        self, store: Store, source: str, replies: RunningReplies | None = None, *, takes_consent: bool = True
    ) -> None:
        self._store = store
        self._source = source
        self._replies = replies
        self._takes_consent = takes_consent

    async def judge(self, exchange_id: str, user_id: str, *, label: bool) -> None:
        """Note a thumb. The latest of a person counts, whether by button or reaction."""
        await self._check_finished(exchange_id)
        await record_feedback(self._store, exchange_id=exchange_id, user_id=user_id, label=label, source=self._source)

    async def take_thumb_back(self, exchange_id: str, user_id: str) -> None:
        await record_feedback(self._store, exchange_id=exchange_id, user_id=user_id, label=None, source=self._source)

    async def pick(self, exchange_id: str, user_id: str) -> int:
        """Prefer this variant to every other one. Returns how many answers there were to choose from."""
        await self._check_finished(exchange_id)
        async with self._store.write() as session:
            return await self._pick(session, exchange_id, user_id)

    async def take_pick_back(self, exchange_id: str, user_id: str) -> None:
        async with self._store.write() as session:
            await preferences.withdraw(session, user_id=user_id, exchange_id=exchange_id)

    async def obstacle_to_better_answer(
        self, user_id: str, place_ids: Collection[str], *, needs_permission: bool
    ) -> Obstacle | None:
        """Who has not agreed that a better answer of this person is kept here."""
        async with self._store.read() as session:
            return await self._obstacle(session, user_id, place_ids, needs_permission)

    async def keep_better_answer(
        self, exchange_id: str, user_id: str, text: str, place_ids: Collection[str], *, needs_permission: bool
    ) -> Obstacle | None:
        """Keep the reply that this person would rather have read; what hinders that is returned, and nothing kept."""
        async with self._store.write() as session:
            return await self._correct(
                session, exchange_id, user_id, text, place_ids, needs_permission=needs_permission
            )

    async def record(self, exchange_id: str, user_id: str, said: Judgement) -> None:
        """Keep all of a judgement or, where one part of it is refused, nothing.

        Raises PermissionNeeded for a better answer that may not be kept.
        """
        async with self._store.write() as session:
            await exchanges.check_finished(session, exchange_id, to_be="judged")
            if said.label is not None or said.is_thumb_gone:
                await feedback.record(
                    session, exchange_id=exchange_id, user_id=user_id, label=said.label, source=self._source
                )
            if said.better_answer is not None:
                obstacle = await self._correct(session, exchange_id, user_id, said.better_answer, (), False)
                if obstacle is not None:
                    raise PermissionNeeded(NEEDED[obstacle].format(place="place"))
            if said.is_best:
                await self._pick(session, exchange_id, user_id)
            elif said.is_best is False:
                await preferences.withdraw(session, user_id=user_id, exchange_id=exchange_id)

    async def _pick(self, session: Session, exchange_id: str, user_id: str) -> int:
        pairs = await preferences.pick(session, user_id=user_id, chosen=exchange_id, source=self._source)
        if not pairs:
            raise InvalidInput(NOTHING_TO_CHOOSE)
        return pairs + 1

    async def _correct(
        self,
        session: Session,
        exchange_id: str,
        user_id: str,
        text: str,
        place_ids: Collection[str],
        needs_permission: bool,
    ) -> Obstacle | None:
        obstacle = await self._obstacle(session, user_id, place_ids, needs_permission)
        if obstacle is None:
            await corrections.add(session, exchange_id=exchange_id, user_id=user_id, text=text, source=self._source)
        return obstacle

    async def _obstacle(
        self, session: Session, user_id: str, place_ids: Collection[str], needs_permission: bool
    ) -> Obstacle | None:
        is_text_kept = (await places.settings_of(session, *place_ids)).is_text_kept
        return await obstacle_to_keeping(
            session,
            (user_id,),
            needs_consent=self._takes_consent,
            needs_permission=needs_permission,
            is_text_kept=is_text_kept,
        )

    async def _check_finished(self, exchange_id: str) -> None:
        """Wait until the reply has ended."""
        if self._replies is not None:
            await self._replies.ended(exchange_id)
        async with self._store.read() as session:
            found = await exchanges.find(session, exchange_id)
        if found is None:
            raise NotFound(UNKNOWN)
        if found.status != JobStatus.SUCCEEDED:
            raise InvalidInput(UNJUDGED.get(JobStatus(found.status), NOT_ENDED))


async def record_feedback(store: Store, *, exchange_id: str, user_id: str, label: bool | None, source: str) -> None:
    """Note a person's judgement of a reply: the latest counts, None removes it.

    Raises NotFound for an unknown exchange, InvalidInput for one without a finished reply, StoreUnavailable.
    """
    async with store.write() as session:
        await feedback.record(session, exchange_id=exchange_id, user_id=user_id, label=label, source=source)


async def keep_standing(
    store: Store,
    exchange_id: str,
    standing: Standing,
    *,
    source: str,
    user_id: str | None = None,
    label: bool | None = None,
) -> None:
    """Take back the judgements that came from this source and do not stand any more: everybody's, or one person's.

    With a `label`, only thumbs up or only thumbs down are taken back, for where `standing` is known in part.

    A message that shows a reply may have shown other variants of it when a thumb was given, so those are looked at,
    too. Where a person's other thumb still stands, it counts instead. Raises StoreUnavailable.
    """
    async with store.write() as session:
        variants = [variant.id for variant in await exchanges.variants(session, exchange_id)]
        given = [thumb for thumb in await feedback.of_exchanges(session, *variants) if thumb.source == source]
        for thumb in given:
            labels = standing.get(thumb.user_id, ())
            if user_id not in (None, thumb.user_id) or label not in (None, thumb.label) or thumb.label in labels:
                continue
            judged, judge = thumb.exchange_id, thumb.user_id
            others = {other.label for other in given if other.user_id == judge} - {thumb.label}
            remaining = [label for label in labels if label not in others]
            if remaining and judged == exchange_id:
                await feedback.record(session, exchange_id=judged, user_id=judge, label=remaining[0], source=source)
            else:
                await feedback.remove(session, exchange_id=judged, user_id=judge)


async def give_missing(store: Store, exchange_id: str, standing: Standing, *, source: str) -> None:
    """Note the thumbs of this source that stand although nobody told of them.

    Left out are people with both thumbs, of which nobody knows the latest; those who judged this reply otherwise or,
    from this source, another variant of it, for their thumb may be older than that; and everybody where a thumb may
    stand that counts no more. Raises NotFound, InvalidInput for a reply that is not finished, and StoreUnavailable.
    """
    async with store.write() as session:
        variants = [variant.id for variant in await exchanges.variants(session, exchange_id)]
        if await feedback.has_void_thumbs(session, variants):
            return
        known = {thumb.user_id for thumb in await feedback.of_exchanges(session, *variants) if thumb.source == source}
        for person, labels in standing.items():
            if len(labels) == 1 and person not in known:
                label = next(iter(labels))
                await feedback.record(
                    session, exchange_id=exchange_id, user_id=person, label=label, source=source, is_latest=False
                )
