"""What chance may have done to a comparison of two adapters over the same prompts. Numbers in, numbers out.

Intervals come from a bootstrap over prompts, p-values from flipping the signs of paired differences; both are SciPy's,
with fixed random numbers, so that the same measurements always give the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 4_000
SEED = 20_261_129
ROUNDED = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """A mean difference with its one-sided bounds, each of which holds with the confidence that was asked for."""

    mean: float
    low: float
    high: float


def paired_bounds(before: Sequence[float], after: Sequence[float], confidence: float) -> Bounds:
    """How much higher `after` is, on the average, over the same prompts in the same order; there must be some."""
    differences = np.subtract(after, before)
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        return Bounds(mean, mean, mean)  # nothing varies, so nothing can be resampled
    found = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=2 * confidence - 1,  # two sides
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Bounds(*(round(float(value), ROUNDED) for value in (mean, found.low, found.high)))


def perplexity_ratio_bounds(
    before: Sequence[float], after: Sequence[float], tokens: Sequence[float], confidence: float
) -> Bounds:
    """The ratio of two perplexities over the same rows, of which losses and tokens are given; rows are resampled."""

    def ratio(former: NDArray[np.float64], later: NDArray[np.float64], size: NDArray[np.float64]) -> float:
        return float(np.exp((later.sum() - former.sum()) / size.sum()))

    data = tuple(np.asarray(values, dtype=np.float64) for values in (before, after, tokens))
    mean = ratio(*data)
    if len(tokens) < 2 or np.ptp(np.subtract(after, before)) == 0:
        return Bounds(mean, mean, mean)
    found = stats.bootstrap(
        data,
        ratio,
        paired=True,
        vectorized=False,
        confidence_level=2 * confidence - 1,
        n_resamples=RESAMPLES // 4,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Bounds(*(round(float(value), ROUNDED) for value in (mean, found.low, found.high)))


def sign_flip_p(before: Sequence[float], after: Sequence[float]) -> float:
    """How probable it is that chance alone lifts the mean so far: a one-sided permutation test over signs."""
    differences = np.subtract(after, before)
    if not differences.any():
        return 1.0
    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return round(float(found.pvalue), ROUNDED)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values of several tests, raised so that all of them together err as seldom as one
    (Holm 1979, https://www.jstor.org/stable/4615733)."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for rank, (key, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, value * (len(p_values) - rank)))
        adjusted[key] = least
    return adjusted


def rank_accuracy(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """How often a liked reply scores above a disliked one, ties counted by half; there must be one of each."""
    liked = [score for label, score in zip(labels, scores, strict=True) if label]
    disliked = [score for label, score in zip(labels, scores, strict=True) if not label]
    wins = stats.mannwhitneyu(liked, disliked, method="asymptotic").statistic
    return round(float(wins) / (len(liked) * len(disliked)), ROUNDED)
