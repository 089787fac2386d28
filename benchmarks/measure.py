"""Runs every system on every workload in interleaved rounds, and checks that all wrote the same tokens.

Knows neither how systems work nor what becomes of the figures.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.system_process import SideBySide
from benchmarks.systems import Reply, Served, SystemKind
from benchmarks.workloads import Request, Workload

DrawRequests = Callable[[Workload, str], list[Request]]


@dataclass(frozen=True)
class Turn:
    """One workload in one round, and the systems that take part."""

    round: int
    workload: Workload
    systems: tuple[SystemKind, ...]


@dataclass(frozen=True)
class Sample:
    """One system on one workload in one round. Times in seconds; one entry of the tuples per request.

    `tokens_per_s` is all new tokens over the time from the first arrival to the last token. `cpu_s` is the processor
    time of all threads: a busy machine distorts it less than it does the others. `gap_s` and `gap_p99_s` are the median
    and the 99th percentile of the time between two tokens of one reply. `same_tokens` is the share of requests whose
    tokens are the reference's; None where they cannot be compared.
    """

    system: str
    workload: Workload
    round: int
    tokens_per_s: float
    cpu_s: float
    first_token_s: tuple[float, ...]
    latency_s: tuple[float, ...]
    gap_s: float
    gap_p99_s: float
    memory_bytes: int
    same_tokens: float | None

    @property
    def mean_latency_s(self) -> float:
        """Mean time of a request, arrival to last token."""
        return statistics.fmean(self.latency_s)


class DifferentTokens(Exception):
    """A system did not write what the reference wrote."""


def measure(
    running: SideBySide,
    turns: Sequence[Turn],
    draw: DrawRequests,
    *,
    references: Mapping[bool, str],
    must_agree: bool,
) -> Iterator[Sample]:
    """Yield a sample for each turn and system that takes part in it to its end.

    All systems of a turn get the same requests, one system after another in an order that is drawn anew for every turn.
    `references` names, with and without LoRA, the system whose tokens count as right where it takes part; with
    `must_agree` any other raises DifferentTokens.
    """
    order = random.Random(0)
    for turn in turns:
        requests = draw(turn.workload, f"round {turn.round}")
        present = [system for system in running.systems if system.kind in turn.systems]
        answers = {system.kind: running.serve(system, requests) for system in order.sample(present, len(present))}
        served = {kind.name: answer for kind, answer in answers.items() if answer is not None}
        for kind in (kind for kind in turn.systems if kind.name in served):
            reference = references[kind.has_lora]
            expected = served.get(reference) if kind.is_checked else None
            same = None if expected is None else _same_tokens(served[kind.name].replies, expected.replies)
            if must_agree and same is not None and same < 1:
                raise DifferentTokens(f"{kind.name} wrote other tokens than {reference} on {turn.workload.name}.")
            yield _sample(kind.name, turn.workload, turn.round, requests, served[kind.name], same)


def warm_up(running: SideBySide, draw: DrawRequests, adapters: int) -> None:
    """Let every system serve once unmeasured: adapters are loaded and memory is allocated."""
    for system in tuple(running.systems):
        running.serve(system, draw(warm_up_workload(1 if system.kind.is_lone else adapters, adapters), "warm-up"))


def warm_up_workload(requests: int, adapters: int) -> Workload:
    return Workload(requests, "at once", "ragged", adapters)


def _sample(
    name: str, workload: Workload, round_: int, requests: Sequence[Request], served: Served, same: float | None
) -> Sample:
    replies = served.replies
    if [len(reply.tokens) for reply in replies] != [request.new_tokens for request in requests]:
        raise DifferentTokens(f"{name} did not write as many tokens as it was asked for on {workload.name}.")
    tokens = sum(request.new_tokens for request in requests)
    pairs = list(zip(requests, replies, strict=True))
    gaps = [later - earlier for reply in replies for earlier, later in pairwise(reply.times_s)] or [0.0]
    return Sample(
        name,
        workload,
        round_,
        tokens / max(reply.finished_s for reply in replies),
        served.cpu_s,
        tuple(reply.first_token_s - request.arrival_s for request, reply in pairs),
        tuple(reply.finished_s - request.arrival_s for request, reply in pairs),
        percentile(gaps, 50),
        percentile(gaps, 99),
        served.memory_bytes,
        same,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed, interpolated linearly."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _same_tokens(replies: Sequence[Reply], expected: Sequence[Reply]) -> float:
    return statistics.fmean(mine.tokens == theirs.tokens for mine, theirs in zip(replies, expected, strict=True))
