"""Simulated rollouts: how often is a challenger promoted or rolled back, by voters of very unequal zeal?

    python -m benchmarks.rollouts

Of 400 people, those who vote once and those who vote all the time differ a hundredfold (log-normal, sigma 1.5). Each
has a leniency (how many replies they like) and a taste of their own (how much they prefer one version), both normal
with a deviation of 0.15. Thumbs come one by one, each in a conversation that chance dealt to one version, and the
rollout looks after every one of them: the most constant peeking there is. "60 % preferred" means that of two replies,
one by each version, the challenger's is liked better in 60 % of cases, ties halved: shares of liked replies that lie
0.2 apart. Arrays have one row a rollout, [rollouts] or [rollouts, people], and follow `core.adapters.rollout_evidence`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.adapters.rollout_evidence import BETS, COUNTED_PER_PERSON, PRIOR_VOTES
from core.personas import RolloutTable

PEOPLE, ZEAL_SIGMA, LENIENCY_SD, TASTE_SD = 400, 1.5, 0.15, 0.15
TROLLS = 9  # 5 % of the 180 people who cast the 400 thumbs that count, each as zealous as the top 5 %
TROLL_KINDS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "thumbs down for everything": lambda liked, is_challenger, random: np.zeros_like(liked),
    "at random": lambda liked, is_challenger, random: random < 0.5,
    "the opposite of what they like": lambda liked, is_challenger, random: ~liked,
}
# Nobody is told which version wrote what; these somehow know.
INFORMED_KINDS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "for the challenger": lambda liked, is_challenger, random: is_challenger,
    "for the champion": lambda liked, is_challenger, random: ~is_challenger,
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`gain` is how much larger the challenger's share of liked replies is; `vote` what trolls make of a thumb."""

    gain: float
    vote: Callable[[Any, Any, Any], Any] | None = None
    rules: RolloutTable = field(default_factory=lambda: RolloutTable(max_votes=400))


@dataclass(frozen=True, slots=True)
class Shares:
    """Of all rollouts: promoted, rolled back as worse, and rolled back because the votes showed nothing in the end."""

    promoted: float
    worse: float
    undecided: float
    median_votes: float

    @property
    def rolled_back(self) -> float:
        return self.worse + self.undecided


@dataclass(slots=True)
class Counts:
    """What every rollout has counted so far."""

    scores: Any  # [rollouts, people]
    counted: Any  # [rollouts, people], thumbs of each that count
    ups: Any  # [rollouts, people], those among them that point up
    logs: Any  # [2, rollouts, bets], log of the capital against "no better" and "no worse"
    crowd_ups: Any  # [rollouts]
    crowd: Any  # [rollouts]
    people: Any  # [rollouts]

    @classmethod
    def of(cls, rollouts: int) -> Counts:
        zeros = np.zeros((rollouts, PEOPLE))
        logs = np.zeros((2, rollouts, len(BETS)))
        return cls(
            zeros, zeros.copy(), zeros.copy(), logs, np.ones(rollouts), np.full(rollouts, 2.0), np.zeros(rollouts)
        )

    @property
    def votes(self) -> Any:
        return self.crowd - 2

    def count(self, who: Any, is_challenger: Any, liked: Any, share: float, is_open: Any) -> None:
        """Take one thumb of every rollout that `is_open`."""
        rows = np.arange(len(who))
        former, ups = self.counted[rows, who], self.ups[rows, who]
        counts = is_open & (former < COUNTED_PER_PERSON)
        expected = (PRIOR_VOTES * self.crowd_ups / self.crowd + ups) / (PRIOR_VOTES + former)
        surprise = np.clip(2 * (liked - expected), -1, 1)
        x = np.where(counts, (is_challenger - share) * surprise / max(share, 1 - share), 0) / COUNTED_PER_PERSON
        before, after = self.scores[rows, who], self.scores[rows, who] + x
        for sign, logs in zip((1, -1), self.logs, strict=True):
            bets = sign * np.array(BETS)
            logs += np.log1p(np.outer(after, bets)) - np.log1p(np.outer(before, bets))
        self.scores[rows, who] = after
        self.counted[rows, who] += counts
        self.ups[rows, who] += counts & liked
        self.crowd_ups += counts & liked
        self.crowd += counts
        self.people += counts & (former == 0)


def simulate(scenario: Scenario, rollouts: int, seed: int) -> Shares:
    """Run this many rollouts at once, each until it is decided."""
    random, rules = np.random.default_rng(seed), scenario.rules
    zeal = np.exp(random.normal(0, ZEAL_SIGMA, (rollouts, PEOPLE)))
    if scenario.vote is not None:
        zeal[:, :TROLLS] = np.quantile(zeal, 0.95, axis=1)[:, None]
    turns = np.cumsum(zeal, axis=1)
    leniency = 0.5 + random.normal(0, LENIENCY_SD, (rollouts, PEOPLE))
    taste = scenario.gain + random.normal(0, TASTE_SD, (rollouts, PEOPLE))
    state, rows = Counts.of(rollouts), np.arange(rollouts)
    outcome, ended = np.zeros(rollouts, int), np.zeros(rollouts)
    while not outcome.all():
        who = (random.random(rollouts)[:, None] * turns[:, -1:] > turns).sum(axis=1)
        is_challenger = random.random(rollouts) < rules.canary_share
        chance = leniency[rows, who] + np.where(is_challenger, 0.5, -0.5) * taste[rows, who]
        liked = random.random(rollouts) < chance
        if scenario.vote is not None:
            liked = np.where(who < TROLLS, scenario.vote(liked, is_challenger, random.random(rollouts)), liked)
        state.count(who, is_challenger, liked, rules.canary_share, outcome == 0)
        better, worse = np.exp(state.logs).mean(axis=2)
        is_enough = (outcome == 0) & (state.people >= rules.min_people)
        verdicts = (
            (is_enough & (worse >= rules.evidence), 2),
            (is_enough & (better >= rules.evidence), 1),
            (state.votes >= rules.max_votes, 3),
        )
        for applies, verdict in verdicts:
            newly = applies & (outcome == 0)
            outcome[newly], ended[newly] = verdict, state.votes[newly]
    promoted, rolled, undecided = (float((outcome == verdict).mean()) for verdict in (1, 2, 3))
    return Shares(promoted, rolled, undecided, float(np.median(ended)))


GAINS: Mapping[str, float] = {"no better": 0.0, "60 % preferred": 0.2, "40 % preferred": -0.2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=2_000)
    parser.add_argument("--share", type=float, default=RolloutTable().canary_share)
    parser.add_argument("--max-votes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rules = RolloutTable(max_votes=arguments.max_votes, canary_share=arguments.share)
    print("| trolls | challenger | promoted | rolled back | of these shown worse | median thumbs |")
    print("|---|---|---|---|---|---|")
    for trolls, vote in {"none": None, **TROLL_KINDS, **INFORMED_KINDS}.items():
        for name, gain in GAINS.items():
            shares = simulate(Scenario(gain, vote, rules), arguments.rollouts, arguments.seed)
            figures = " | ".join(f"{one:.1%}" for one in (shares.promoted, shares.rolled_back, shares.worse))
            print(f"| {trolls} | {name} | {figures} | {shares.median_votes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
