"""A new version meets people step by step: unseen beside the champion, then a share of conversations, then all.

Everything that is decided is decided here, from what `read_standing` gathers; nothing is written. Shadow and canary
end a challenger that is worse, and only people's thumbs make it the champion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from core.adapters.rollout_evidence import CanaryVote, Evidence, failures_evidence, weigh
from core.personas import RolloutTable
from core.store import adapter_versions, rollouts
from core.store.db import Session
from core.store.models import Rollout, ShadowReply
from core.thumb_statistics import LikedShare

Stage = Literal["shadow", "canary", "done"]
Outcome = Literal["promoted", "rolled_back", "ended"]
EARLY_FAILURES = 3  # unseen replies that break, before all that are wanted are there
MIN_WORDS = 100  # of all the champion's replies, so that a ratio says something


@dataclass(frozen=True, slots=True)
class ShadowFigures:
    """The challenger's unseen replies beside the champion's to the same questions. Means, and shares from 0 to 1.

    `voice` is how much a reply sounds like the persona's own rows (`core.voice`). Of a reply that failed, only that
    counts.
    """

    replies: int = 0
    failed: int = 0
    words: float = 0.0
    champion_words: float = 0.0
    flawed: float = 0.0
    champion_flawed: float = 0.0
    voice: float = 0.0
    champion_voice: float = 0.0


@dataclass(frozen=True, slots=True)
class RolloutStanding:
    """Where a persona's rollout stands, running or over. Times are unix times in seconds, versions their numbers.

    `failures` are the conversations in which a reply failed, the challenger's and the champion's. `votes_needed` is
    about how many more thumbs that count decide, at most; None outside the canary. `reason` says why it stands there.
    """

    persona: str
    base_model: str
    challenger: int
    champion: int
    stage: Stage
    is_paused: bool
    settings: RolloutTable
    started_at: float
    canary_at: float | None
    ended_at: float | None
    outcome: Outcome | None
    reason: str
    shadow: ShadowFigures = field(default_factory=ShadowFigures)
    evidence: Evidence = field(default_factory=Evidence)
    failures: tuple[int, int] = (0, 0)

    @property
    def is_running(self) -> bool:
        return self.stage != "done"

    @property
    def votes_needed(self) -> int | None:
        if self.stage != "canary":
            return None
        rules = self.settings
        return self.evidence.votes_needed(rules.evidence, rules.canary_share, rules.max_votes)

    @property
    def sentence(self) -> str:
        """Where it stands, for people."""
        who = f"{self.persona}@{self.challenger}"
        if self.stage == "shadow":
            where = f"{who} answers unseen, {self.shadow.replies} of {self.settings.shadow_replies} replies so far"
        elif self.stage == "canary":
            share = f"{self.settings.canary_share:.0%}"
            where = f"{who} answers in {share} of new conversations; about {self.votes_needed} more thumbs decide"
        else:
            return self.reason
        return f"{where}{' (paused)' if self.is_paused else ''}."

    def to_dict(self) -> dict[str, Any]:
        """Everything, for scripts and for the web page."""
        evidence, shadow = self.evidence, self.shadow
        return {
            "persona": self.persona,
            "base_model": self.base_model,
            "challenger": self.challenger,
            "champion": self.champion,
            "stage": self.stage,
            "is_paused": self.is_paused,
            "sentence": self.sentence,
            "reason": self.reason,
            "outcome": self.outcome,
            "started_at": self.started_at,
            "canary_at": self.canary_at,
            "ended_at": self.ended_at,
            "settings": self.settings.model_dump(),
            "shadow": {name: getattr(shadow, name) for name in ShadowFigures.__slots__},
            "thumbs": {
                "challenger": _thumbs(evidence.challenger, evidence.challenger_liked),
                "champion": _thumbs(evidence.champion, evidence.champion_liked),
                "people": evidence.people,
                "evidence_better": evidence.better,
                "evidence_worse": evidence.worse,
                "votes_needed": self.votes_needed,
            },
            "failures": {"challenger": self.failures[0], "champion": self.failures[1]},
        }


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a rollout now, and why in a sentence."""

    kind: Literal["canary", "promote", "roll_back"]
    reason: str


async def read_standing(session: Session, persona: str, base_slug: str) -> RolloutStanding | None:
    """Where this persona's rollout stands, its last one where none runs; None where there never was one."""
    rollout = await rollouts.find(session, persona, base_slug)
    return None if rollout is None else await standing_of(session, rollout)


async def standing_of(session: Session, rollout: Rollout) -> RolloutStanding:
    rules = RolloutTable(**rollout.settings)
    shadow = _figures(await rollouts.shadow_replies(session, rollout))
    evidence, failures = Evidence(), (0, 0)
    if rollout.canary_at is not None:
        numbers = (rollout.challenger, rollout.champion)
        found = [await adapter_versions.get(session, rollout.persona, rollout.base_model, one) for one in numbers]
        challenger, champion = (stored.content_hash for stored in found)
        is_dealt = _Deal(challenger, champion, rules.canary_share)
        cast_votes = [
            CanaryVote(who, content == challenger, label)
            for place, content, who, label in await rollouts.votes(session, rollout)
            if is_dealt(place, content)
        ]
        evidence = weigh(cast_votes, rules.canary_share)
        broken = [content for place, content in await rollouts.failures(session, rollout) if is_dealt(place, content)]
        failures = (broken.count(challenger), broken.count(champion))
    return RolloutStanding(
        persona=rollout.persona,
        base_model=rollout.base_model,
        challenger=rollout.challenger,
        champion=rollout.champion,
        stage=cast(Stage, rollout.stage),
        is_paused=rollout.is_paused,
        settings=rules,
        started_at=rollout.started_at,
        canary_at=rollout.canary_at,
        ended_at=rollout.ended_at,
        outcome=cast(Outcome | None, rollout.outcome),
        reason=rollout.reason or "",
        shadow=shadow,
        evidence=evidence,
        failures=failures,
    )


def decide(standing: RolloutStanding) -> Step | None:
    """The next step, None while nothing is decided. May be asked as often as one likes."""
    if standing.is_paused:
        return None
    if standing.stage == "shadow":
        return _decide_shadow(standing)
    if standing.stage == "canary":
        return _decide_canary(standing)
    return None


def is_dealt_to_challenger(conversation_id: str, challenger_hash: str, share: float) -> bool:
    """Whether chance gives a conversation to the challenger. The same for ever, and anew for every challenger."""
    digest = hashlib.sha256(f"{challenger_hash}\n{conversation_id}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True, slots=True)
class _Deal:
    """Whether a conversation had the version that chance gave it: not so where a pause kept the challenger away."""

    challenger: str
    champion: str
    share: float

    def __call__(self, conversation_id: str, content_hash: str) -> bool:
        dealt = is_dealt_to_challenger(conversation_id, self.challenger, self.share)
        return content_hash == (self.challenger if dealt else self.champion)


def _decide_shadow(standing: RolloutStanding) -> Step | None:
    rules, seen, who = standing.settings, standing.shadow, f"{standing.persona}@{standing.challenger}"
    if seen.failed >= EARLY_FAILURES and 2 * seen.failed >= seen.replies:
        return Step("roll_back", f"{seen.failed} of {who}'s {seen.replies} unseen replies ended with an error.")
    if seen.replies < rules.shadow_replies:
        return None
    if problem := _shadow_problem(seen, rules):
        return Step("roll_back", f"Unseen, {who} {problem}; no person has met it.")
    if not seen.replies:
        return Step("canary", f"{who} answers in {rules.canary_share:.0%} of new conversations; no shadow is wanted.")
    return Step("canary", f"{who} was no worse in {seen.replies} replies that nobody saw.")


def _shadow_problem(seen: ShadowFigures, rules: RolloutTable) -> str | None:
    """What is wrong with the unseen replies, as a verb with its figures; None where nothing is."""
    if seen.failed / max(1, seen.replies) > rules.flawed_margin:
        return f"ended with an error in {seen.failed} of {seen.replies} replies"
    if seen.flawed - seen.champion_flawed > rules.flawed_margin:
        return f"had flaws in {seen.flawed:.0%} of its replies, the champion in {seen.champion_flawed:.0%}"
    if seen.champion_voice > 0 and seen.voice < (1 - rules.voice_margin) * seen.champion_voice:
        return f"has lost the voice: {seen.voice:.2f} by the words of its rows, the champion {seen.champion_voice:.2f}"
    whole = seen.champion_words * seen.replies
    if whole >= MIN_WORDS and not 1 / rules.words_ratio <= seen.words / seen.champion_words <= rules.words_ratio:
        return f"wrote {seen.words:.0f} words a reply, the champion {seen.champion_words:.0f}"
    return None


def _decide_canary(standing: RolloutStanding) -> Step | None:
    rules, evidence = standing.settings, standing.evidence
    who, champion = f"{standing.persona}@{standing.challenger}", f"{standing.persona}@{standing.champion}"
    broken, champion_broken = standing.failures
    if failures_evidence(broken, champion_broken, rules.canary_share) >= rules.evidence:
        reason = f"Replies failed in {broken} conversations with {who}, and in {champion_broken} with {champion}."
        return Step("roll_back", reason)
    is_enough = evidence.people >= rules.min_people
    figures = f"{_liked(evidence.challenger)} for {who}, {_liked(evidence.champion)} for {champion}"
    figures = f"{figures}, from {evidence.people} people"
    if is_enough and evidence.worse >= rules.evidence:
        return Step("roll_back", f"People like it less: {figures}.")
    if is_enough and evidence.better >= rules.evidence:
        return Step("promote", f"People like it better: {figures}.")
    if evidence.votes >= rules.max_votes:
        return Step("roll_back", f"{evidence.votes} thumbs did not show that it is better: {figures}.")
    return None


def _thumbs(thumbs: tuple[int, int], liked: LikedShare | None) -> dict[str, Any]:
    """Of one version; `low` and `high` are the interval of its share of thumbs up."""
    up, down = thumbs
    return {"up": up, "down": down, "low": liked and liked.low, "high": liked and liked.high}


def _liked(thumbs: tuple[int, int]) -> str:
    up, down = thumbs
    return f"{up} of {up + down} thumbs up"


def _figures(rows: Sequence[ShadowReply]) -> ShadowFigures:
    whole = [row for row in rows if not row.has_failed]
    count = max(1, len(whole))
    return ShadowFigures(
        replies=len(rows),
        failed=len(rows) - len(whole),
        words=sum(row.challenger_words for row in whole) / count,
        champion_words=sum(row.champion_words for row in whole) / count,
        flawed=sum(row.challenger_is_flawed for row in whole) / count,
        champion_flawed=sum(row.champion_is_flawed for row in whole) / count,
        voice=sum(row.challenger_voice for row in whole) / count,
        champion_voice=sum(row.champion_voice for row in whole) / count,
    )
