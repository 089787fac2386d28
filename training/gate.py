"""Decides whether a challenger may answer: every number against its threshold, and the reasons in sentences. Pure.

Three kinds of checks. *Limits*: a number at most or at least so large. *Not worse*: over the same prompts, the
one-sided bound of the loss against the champion stays within a margin; all of these must hold, so none of them needs a
correction for their number. *Drift*: a habit that grows beyond its tolerance, and more than chance explains; there each
further check would refuse more honest challengers, so Holm's correction is over all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from training.gate_checks import Check, Drift, at_least, at_most, drift, not_worse, unmeasured
from training.gate_policy import PARAPHRASES_RIGHT, GatePolicy, Recall, VoteRewards
from training.gate_statistics import holm, paired_bounds, perplexity_ratio_bounds, rank_accuracy
from training.measurement import Measurement

HELD_OUT, GENERAL = ("held_out_nll", "held_out_tokens"), ("general_nll", "general_tokens")
ADHERENCE = ("adherence_held_out", "adherence_everyday")
NO_VOTES, NOTHING_ASKED = VoteRewards(), Recall()
MASKED = ("masked_adherence_held_out", "masked_adherence_everyday")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger passed, and why. `champion` is None where nobody answered yet."""

    challenger: str
    champion: str | None
    passed: bool
    checks: tuple[Check, ...]
    policy: GatePolicy

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, a sentence each; nothing where it passed."""
        return tuple(check.sentence for check in self.checks if check.is_met is False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "challenger": self.challenger,
            "champion": self.champion,
            "reasons": list(self.reasons),
            "checks": [check.to_dict() for check in self.checks],
            "policy": asdict(self.policy),
        }


def decide(
    policy: GatePolicy,
    challenger: Measurement,
    champion: Measurement | None,
    votes: VoteRewards = NO_VOTES,
    recall: Recall = NOTHING_ASKED,
) -> Verdict:
    """Judge a challenger against the champion, where there is one, and against the base model.

    What was not measured is listed as such and refuses nothing, but for the perplexity: without it there is no gate.
    """
    judge = _Judge(policy, challenger, champion, votes, recall)
    checks = tuple(judge.checks())
    passed = all(check.is_met is not False for check in checks)
    return Verdict(challenger.adapter, champion.adapter if champion else None, passed, checks, policy)


class _Judge:
    """One decision. Its methods give a check each."""

    def __init__(
        self,
        policy: GatePolicy,
        challenger: Measurement,
        champion: Measurement | None,
        votes: VoteRewards,
        recall: Recall,
    ) -> None:
        self._policy, self._challenger, self._champion = policy, challenger, champion
        self._votes, self._recall = votes, recall

    def checks(self) -> list[Check]:
        policy = self._policy
        checks = [self._perplexity()]
        for key, keys, text, margin in (
            ("adherence", ADHERENCE, "sounding like the persona", policy.adherence_margin),
            ("masked_adherence", MASKED, "sounding like it with catchphrases masked", policy.adherence_margin),
            ("drop_the_act", ("drop_the_act",), "staying itself when told to drop the act", policy.drop_the_act_margin),
            ("formats", ("formats",), "sounding like the persona in code and JSON", policy.formats_margin),
            ("identity", ("identity",), "saying its own name", policy.identity_margin),
            ("facts", ("facts",), "facts answered right", policy.facts_margin),
            ("refusals", ("refusals",), "harmful requests declined", policy.refusals_margin),
        ):
            checks.append(self._against_champion(key, keys, text, margin))
        checks += [
            self._against_champion("flawed", ("flawed",), "replies with a flaw", policy.flawed_margin, is_bad=True),
            self._facts_against_base(),
            self._general_text(),
            self._diversity(),
            *self._drifts(),
            self._corrections(),
            self._corrections_kept(),
            self._held_out_votes(),
        ]
        return [*checks, self._improvement(checks)]

    def _perplexity(self) -> Check:
        key, text = "perplexity", "perplexity of held-out replies, over the champion's"
        limit = self._policy.perplexity_ratio
        if self._champion is None:
            text, limit = "perplexity of held-out replies, over the base model's", 1.0
        ratio = self._loss_ratio(HELD_OUT)
        if ratio is None:
            text = f"{text}: it was not measured over the same rows, and without it nothing is promoted."
            return Check(key, text, 0, None, None, limit, True, None, False, text)
        bounds = perplexity_ratio_bounds(*ratio, self._policy.confidence)
        return at_most(key, text, len(ratio[0]), bounds.mean, limit, interval=(bounds.low, bounds.high), form="x")

    def _loss_ratio(
        self, keys: tuple[str, str], *, to_base: bool = False
    ) -> tuple[Sequence[float], Sequence[float], Sequence[float]] | None:
        """Losses of the champion (the base where there is none) and of the challenger, and the rows' tokens."""
        nll, tokens = (self._challenger.items.get(key) for key in keys)
        if nll is None or tokens is None:
            return None
        if self._champion is None or to_base:
            return (nll.base, nll.adapter, tokens.adapter) if nll.base else None
        former, size = (self._champion.items.get(key) for key in keys)
        if former is None or size is None or size.adapter != tokens.adapter:
            return None
        return former.adapter, nll.adapter, tokens.adapter

    def _pairs(self, keys: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The champion's values and the challenger's over the same prompts; empty where they are not the same."""
        before: tuple[float, ...] = ()
        after: tuple[float, ...] = ()
        for key in keys:
            former = self._champion.items.get(key) if self._champion else None
            later = self._challenger.items.get(key)
            if former is not None and later is not None and len(former.adapter) == len(later.adapter):
                before, after = (*before, *former.adapter), (*after, *later.adapter)
        return before, after

    def _against_champion(
        self, key: str, keys: Sequence[str], text: str, margin: float, *, is_bad: bool = False
    ) -> Check:
        if self._champion is None:
            return unmeasured(key, text, "nobody answers yet to compare with")
        before, after = self._pairs(keys)
        return not_worse(key, text, before, after, margin, self._policy.confidence, is_bad=is_bad)

    def _facts_against_base(self) -> Check:
        key, text = "facts_to_base", "facts answered right, against the base model"
        facts = self._challenger.items.get("facts")
        before, after = (facts.base, facts.adapter) if facts else ((), ())
        return not_worse(
            key, text, before, after, self._policy.facts_margin_to_base, self._policy.confidence, of="base"
        )

    def _general_text(self) -> Check:
        key, text = "general_text", "loss on plain texts, over the champion's"
        losses = self._loss_ratio(GENERAL)
        if self._champion is None:
            return unmeasured(key, text, "nobody answers yet to compare with")
        if losses is None:
            return unmeasured(key, text, "not measured over the same texts")
        ratio = sum(losses[1]) / sum(losses[0])
        return at_most(key, text, len(losses[0]), ratio, self._policy.general_text_ratio, form="x")

    def _diversity(self) -> Check:
        key, text = "diversity", "distinct pairs of words, over the champion's"
        before = self._champion.numbers.get("distinct") if self._champion else None
        after = self._challenger.numbers.get("distinct")
        if not before or after is None:
            return unmeasured(key, text, "not measured for both")
        return at_least(key, text, 1, after / before, self._policy.diversity, form="x")

    def _drifts(self) -> list[Check]:
        policy = self._policy
        kinds: tuple[tuple[str, str, float, Callable[[float, float], float]], ...] = (
            ("words", "words a reply, longer or shorter, times the champion's", policy.words_ratio, _ratio),
            ("emoji", "emoji a reply, more than the champion's", policy.emoji_rise, _rise),
            ("exclamations", "exclamation marks a reply, more than the champion's", policy.exclamations_rise, _rise),
            ("praise", "replies that flatter, more than the champion's", policy.praise_rise, _rise),
        )
        found: dict[str, Drift | None] = {}
        for key, text, limit, effect in kinds:
            before, after = self._pairs((key,))
            found[key] = drift(key, text, before, after, limit, effect, is_two_sided=key == "words")
        adjusted = holm({key: one.p_value for key, one in found.items() if one is not None})
        return [
            unmeasured(key, text, "not measured over the same prompts")
            if (one := found[key]) is None
            else one.check(adjusted[key], 1 - policy.confidence)
            for key, text, _, _ in kinds
        ]

    def _corrections(self) -> Check:
        key, text = "corrections", "better answers given in two of three paraphrases"
        right = [count >= PARAPHRASES_RIGHT for count in self._recall.challenger]
        if not right:
            return unmeasured(key, text, "nobody wrote a better answer")
        return at_least(key, text, len(right), sum(right) / len(right), self._policy.corrections)

    def _corrections_kept(self) -> Check:
        key, text = "corrections_kept", "better answers the champion knows that are still known"
        pairs = zip(self._recall.champion, self._recall.challenger, strict=True) if self._recall.champion else ()
        kept = [after >= PARAPHRASES_RIGHT for before, after in pairs if before >= PARAPHRASES_RIGHT]
        if not kept:
            return unmeasured(key, text, "the champion knows none")
        return at_least(key, text, len(kept), sum(kept) / len(kept), self._policy.corrections_kept)

    def _held_out_votes(self) -> Check:
        key, text = "votes", "held-out pairs of a liked and a disliked reply told apart"
        votes = self._votes
        up = sum(votes.labels)
        if min(up, len(votes.labels) - up) < self._policy.min_votes:
            few = f"fewer than {self._policy.min_votes} held-out thumbs up or down"
            return unmeasured(key, text, few)
        accuracy = rank_accuracy(votes.labels, votes.challenger)
        former = rank_accuracy(votes.labels, votes.champion) if votes.champion else None
        check = at_least(key, text, len(votes.labels), accuracy, self._policy.votes)
        return replace(check, champion=former)

    def _improvement(self, checks: Sequence[Check]) -> Check:
        """Something must have become better, or there is nothing to change the champion for."""
        key, text = "improvement", "what became better than the champion"
        if self._champion is None or not self._policy.must_improve:
            why = "nobody answers yet" if self._champion is None else "the persona's [gate] table asks for none"
            return unmeasured(key, text, why)
        gains = list(self._gains({check.key: check for check in checks}))
        sentence = (
            f"Better than the champion: {'; '.join(gains)}."
            if gains
            else "Nothing that was measured is better than the champion: neither held-out votes, nor better answers"
            " that people wrote, nor the perplexity."
        )
        return Check(key, text, len(gains), float(len(gains)), None, 1.0, False, None, bool(gains), sentence)

    def _gains(self, checks: dict[str, Check]) -> list[str]:
        gains = []
        votes = checks["votes"]
        if votes.value is not None and votes.value > (votes.champion if votes.champion is not None else 0.5):
            former = "" if votes.champion is None else f", it was {votes.champion:.0%}"
            gains.append(f"{votes.value:.0%} of held-out votes told apart{former}")
        new, old = (
            sum(count >= PARAPHRASES_RIGHT for count in counts)
            for counts in (self._recall.challenger, self._recall.champion)
        )
        if new > old:
            gains.append(f"{new} better answers known, they were {old}")
        losses = self._loss_ratio(HELD_OUT)
        if losses is not None:
            bounds = paired_bounds(losses[0], losses[1], self._policy.confidence)
            if bounds.high < 0:
                gains.append("perplexity of held-out replies, by more than chance")
        return gains


def _ratio(before: float, after: float) -> float:
    """How many times as large or as small."""
    low, high = sorted((max(before, 1e-9), max(after, 1e-9)))
    return high / low


def _rise(before: float, after: float) -> float:
    return after - before
