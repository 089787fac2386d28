"""Decides of every judgement whether it trains, and makes rows of those that do. Pure: no database, no clock.

Each judgement is used or held back for one reason, the first that applies:

1. what the query found (`core.store.trainable`), then empty replies, secrets and personal data;
2. its giver votes against everybody else (`training.outlier_voters`);
3. it is one of many in a short time, or of a person who said something newer of the same, or beyond the day's number;
4. the pair's replies are nearly equal, or people contradict each other.

Replies that nearly equal each other, to conversations that do, are one reply here: their thumbs become one row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from math import sqrt
from typing import TypeAlias

from core.store.trainable import Signal
from training.feedback_policy import FeedbackPolicy
from training.feedback_set import CorrectedReply, JudgedReply, Messages, PreferredReply
from training.near_duplicates import group
from training.outlier_voters import Vote, find_outliers
from training.private_words import find_private_words
from training.vote_limits import Act, find_above_daily, find_bursts, person_limit

VOTES = ("thumb", "pick")
Answer: TypeAlias = tuple[int, int]
"""A group of nearly equal answers: its conversation's number, and its own within that."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The rows, which judgements made them, and of all others the reason."""

    judged: tuple[JudgedReply, ...]
    preferred: tuple[PreferredReply, ...]
    corrected: tuple[CorrectedReply, ...]
    used: tuple[Signal, ...]
    held_back: dict[Signal, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a judgement stands among nearly equal ones: of a conversation, and of one or two replies to it."""

    conversation: int
    reply: Answer
    rejected: Answer | None = None

    @property
    def pair(self) -> tuple[Answer, Answer]:
        """The two replies that a pick is about, whichever was chosen."""
        other = self.reply if self.rejected is None else self.rejected
        return min(self.reply, other), max(self.reply, other)


def decide(signals: Sequence[Signal], policy: FeedbackPolicy) -> Decided:
    """Apply every rule. `signals` come the oldest first."""
    return _Decision(signals, policy).made()


class _Decision:
    """One run over all judgements; `held` fills up, and what is `left` shrinks."""

    def __init__(self, signals: Sequence[Signal], policy: FeedbackPolicy) -> None:
        self._signals = signals
        self._policy = policy
        self._held: dict[Signal, str] = {}
        self._places: dict[Signal, Place] = {}

    def made(self) -> Decided:
        self._hold(self._signals, lambda signal: signal.obstacle)
        self._hold(self._left(), lambda signal: None if all(map(str.strip, _answers(signal))) else "empty")
        private = cache(find_private_words)
        self._hold(self._left(), lambda signal: next(filter(None, map(private, _texts(signal))), None))
        self._places = _find_places(self._left(), self._policy.near_duplicate_similarity)
        self._hold_people()
        self._hold(self._left("pick"), lambda pick: "near_equal" if len(set(self._places[pick].pair)) == 1 else None)
        self._hold_share_of_pairs()
        self._hold_conflicts()
        return Decided(self._judged(), self._preferred(), self._corrected(), tuple(self._left()), dict(self._held))

    def _left(self, *kinds: str) -> list[Signal]:
        return [s for s in self._signals if s not in self._held and (not kinds or s.kind in kinds)]

    def _hold(self, signals: Iterable[Signal], reason: Callable[[Signal], str | None]) -> None:
        found = {signal: why for signal in signals if (why := reason(signal)) is not None}
        self._held.update(found)

    def _hold_people(self) -> None:
        """What one person said too often, or against everybody."""
        votes, policy = self._left(*VOTES), self._policy
        bursts = find_bursts(map(_act, votes), size=policy.burst_size, window_s=policy.burst_window_s)
        repeated = self._repeated(s for s in self._left() if _act(s) not in bursts)
        timely = [_act(s) for s in votes if _act(s) not in bursts and s not in repeated]
        late = find_above_daily(timely, per_day=policy.max_per_person_per_day)
        written = [_act(s) for s in self._left("correction") if s not in repeated]
        late |= find_above_daily(written, per_day=policy.max_corrections_per_person_per_day)
        reasons = {s: _reason(s, bursts, repeated, late) for s in self._left()}
        outliers = find_outliers(
            [
                Vote(s.user_id, self._places[s].reply, bool(s.label), is_counted=reasons[s] is None)
                for s in self._left("thumb")
                if s not in repeated
            ],
            min_votes=policy.min_votes_for_quarantine,
            min_evidence=policy.quarantine_evidence,
        )
        self._hold(self._left(), lambda s: "quarantine" if s.user_id in outliers else reasons[s])

    def _repeated(self, signals: Iterable[Signal]) -> frozenset[Signal]:
        """All but the latest thing of a kind that a person said of nearly equal replies, or answers to a question."""
        latest: dict[Hashable, Signal] = {}
        repeated = set()
        for signal in signals:
            place = self._places[signal]
            about = {"thumb": place.reply, "pick": place.pair, "correction": place.conversation}[signal.kind]
            key = (signal.kind, signal.user_id, about)
            if key in latest:
                repeated.add(latest[key])
            latest[key] = signal
        return frozenset(repeated)

    def _hold_share_of_pairs(self) -> None:
        """Pairs have no weight, so whoever has too many of them keeps the earliest."""
        picks = self._left("pick")
        limit = person_limit(Counter(pick.user_id for pick in picks), max_share=self._policy.max_person_share)
        numbers: dict[str, count[int]] = defaultdict(lambda: count(1))
        self._hold(picks, lambda p: "person_share" if next(numbers[p.user_id]) > max(1, int(limit)) else None)

    def _hold_conflicts(self) -> None:
        """Where people disagree, the minority is held back, and the majority, too, where it is too small."""
        for kind in VOTES:
            opinions: dict[Hashable, list[Signal]] = defaultdict(list)
            for signal in self._left(kind):
                opinions[self._about(signal)].append(signal)
            for about in opinions.values():
                margin = sum(1 if self._is_for(signal) else -1 for signal in about)
                is_unanimous = abs(margin) == len(about)
                if not is_unanimous:
                    is_decided, majority = abs(margin) >= self._policy.conflict_margin, margin > 0
                    for signal in about:
                        if not is_decided or self._is_for(signal) != majority:
                            self._held[signal] = "conflict"

    def _about(self, signal: Signal) -> Hashable:
        place = self._places[signal]
        return place.reply if signal.kind == "thumb" else place.pair

    def _is_for(self, signal: Signal) -> bool:
        place = self._places[signal]
        return bool(signal.label) if signal.kind == "thumb" else place.reply == place.pair[0]

    def _judged(self) -> tuple[JudgedReply, ...]:
        thumbs = self._left("thumb")
        weights = _weights(thumbs, self._policy.max_person_share)
        rows = [(same[0], sum(weights[s.user_id] for s in same)) for same in self._merged(thumbs)]
        mean = sum(weight for _, weight in rows) / len(rows) if rows else 1.0
        return tuple(
            JudgedReply(s.exchange_id, _messages(s), s.reply, bool(s.label), weight / mean) for s, weight in rows
        )

    def _preferred(self) -> tuple[PreferredReply, ...]:
        picks = [same[0] for same in self._merged(self._left("pick"))]
        return tuple(PreferredReply(p.exchange_id, _messages(p), p.reply, p.rejected_reply) for p in picks)

    def _corrected(self) -> tuple[CorrectedReply, ...]:
        """The latest of those that say the same. Different answers of different people all count."""
        latest = [same[-1] for same in self._merged(self._left("correction"))]
        return tuple(CorrectedReply(c.exchange_id, _messages(c), c.text, c.given_at) for c in latest)

    def _merged(self, signals: Iterable[Signal]) -> list[list[Signal]]:
        """Those that make one row together, each row the oldest first."""
        rows: dict[Place, list[Signal]] = defaultdict(list)
        for signal in signals:
            rows[self._places[signal]].append(signal)
        return list(rows.values())


def _reason(signal: Signal, bursts: frozenset[Act], repeated: frozenset[Signal], late: frozenset[Act]) -> str | None:
    if signal.kind in VOTES and _act(signal) in bursts:
        return "burst"
    if signal in repeated:
        return "repeated"
    if _act(signal) in late:
        return "corrections_cap" if signal.kind == "correction" else "daily_cap"
    return None


def _weights(thumbs: Sequence[Signal], max_share: float) -> dict[str, float]:
    """What one thumb of each person weighs: 1/√n of n, so that many count less than as many people, and no person's
    together more than their share."""
    numbers = Counter(thumb.user_id for thumb in thumbs)
    limit = person_limit({person: sqrt(number) for person, number in numbers.items()}, max_share=max_share)
    return {person: min(sqrt(number), limit) / number for person, number in numbers.items()}


def _act(signal: Signal) -> Act:
    """A pick among several replies makes several pairs, and is one act."""
    return Act(signal.given_at, signal.user_id, f"{signal.kind} {signal.exchange_id}")


def _texts(signal: Signal) -> tuple[str, ...]:
    return (*(turn.content for turn in signal.prompt), signal.reply, signal.rejected_reply, signal.text)


def _answers(signal: Signal) -> tuple[str, ...]:
    """The reply that was judged, both of a pick, or the better answer."""
    answers = {"thumb": (signal.reply,), "pick": (signal.reply, signal.rejected_reply), "correction": (signal.text,)}
    return answers[signal.kind]


def _messages(signal: Signal) -> Messages:
    return tuple(turn.to_dict() for turn in signal.prompt)


def _find_places(signals: Sequence[Signal], min_similarity: float) -> dict[Signal, Place]:
    """Group conversations, by the question and by what was said before it, and within each group the answers."""
    asked = group([s.prompt[-1].content if s.prompt else "" for s in signals], min_similarity=min_similarity)
    before = group(["\n".join(turn.content for turn in s.prompt[:-1]) for s in signals], min_similarity=min_similarity)
    numbers = count()
    conversations: dict[tuple[int, int], int] = defaultdict(lambda: next(numbers))
    members: dict[int, list[Signal]] = defaultdict(list)
    for signal, key in zip(signals, zip(asked, before, strict=True), strict=True):
        members[conversations[key]].append(signal)
    found = {}
    for conversation, own in members.items():
        replies = iter(group([answer for s in own for answer in _answers(s)], min_similarity=min_similarity))
        for signal in own:
            found[signal] = Place(conversation, *((conversation, next(replies)) for _ in _answers(signal)))
    return found
