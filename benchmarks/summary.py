"""Samples in, figures out: medians, spread over the rounds, and whether the goals are met. Knows no output format."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample, percentile
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass(frozen=True)
class Figures:
    """One system on one workload, over all rounds. Times in seconds.

    `tokens_per_s` spreads over the rounds, the times over the requests of all rounds. `engine_speed` is how many times
    as fast the engine was in the same round. The gaps and the memory are the median round's.
    """

    system: str
    workload: Workload
    tokens_per_s: Spread
    engine_speed: Spread
    cpu_s: Spread
    first_token_s: Spread
    first_token_p95_s: float
    latency_s: Spread
    gap_s: float
    gap_p99_s: float
    memory_bytes: float
    same_tokens: float | None


def summarise(samples: Sequence[Sample], engine: str) -> list[Figures]:
    """Figures for every system and workload, in the order they first appear. `engine` names who is compared."""
    groups: dict[tuple[Workload, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.workload, sample.system), []).append(sample)
    return [_figures(group, groups[workload, engine]) for (workload, _), group in groups.items()]


def _figures(samples: Sequence[Sample], engine: Sequence[Sample]) -> Figures:
    same = [sample.same_tokens for sample in samples if sample.same_tokens is not None]
    first = [time_s for sample in samples for time_s in sample.first_token_s]
    return Figures(
        samples[0].system,
        samples[0].workload,
        Spread.of([sample.tokens_per_s for sample in samples]),
        Spread.of([ours.tokens_per_s / theirs.tokens_per_s for ours, theirs in zip(engine, samples, strict=True)]),
        Spread.of([sample.cpu_s for sample in samples]),
        Spread.of(first),
        percentile(first, 95),
        Spread.of([time_s for sample in samples for time_s in sample.latency_s]),
        statistics.median(sample.gap_s for sample in samples),
        statistics.median(sample.gap_p99_s for sample in samples),
        statistics.median(sample.memory_bytes for sample in samples),
        statistics.fmean(same) if same else None,
    )


@dataclass(frozen=True)
class Goal:
    """`measure` of `ours` over `measure` of `theirs`, both from the same round, against a limit.

    `is_judged` picks the workloads it holds for; theirs is measured on `against` of it.
    """

    text: str
    ours: str
    theirs: str
    measure: Callable[[Sample], float]
    is_judged: Callable[[Workload], bool]
    at_least: float | None = None
    at_most: float | None = None
    against: Callable[[Workload], Workload] = lambda workload: workload

    def pair(self, workload: Workload) -> tuple[Workload, Workload]:
        """What ours and theirs are measured on for this workload."""
        return workload, self.against(workload)


@dataclass(frozen=True)
class Verdict:
    """A goal on one workload: the ratio's median and quartiles over the rounds; the median decides."""

    goal: Goal
    workload: Workload
    ratio: Spread

    @property
    def is_met(self) -> bool:
        limits = (self.goal.at_least, self.goal.at_most)
        low, high = (self.ratio.median if limit is None else limit for limit in limits)
        return low <= self.ratio.median <= high


def judge(goals: Sequence[Goal], samples: Sequence[Sample]) -> list[Verdict]:
    """Every goal on every workload it holds for that was measured."""
    found = {(sample.system, sample.workload, sample.round): sample for sample in samples}
    workloads = dict.fromkeys(sample.workload for sample in samples)
    rounds = sorted({sample.round for sample in samples})
    verdicts = []
    for goal in goals:
        for workload in filter(goal.is_judged, workloads):
            mine, others = goal.pair(workload)
            pairs = [(found.get((goal.ours, mine, r)), found.get((goal.theirs, others, r))) for r in rounds]
            ratios = [goal.measure(ours) / goal.measure(theirs) for ours, theirs in pairs if ours and theirs]
            if ratios:
                verdicts.append(Verdict(goal, workload, Spread.of(ratios)))
    return verdicts
