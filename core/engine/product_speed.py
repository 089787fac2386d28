"""How long the products of a decode step take beside each other on this machine. Knows no kind of product."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

K = TypeVar("K")

# Tokens that a decode step multiplies at once.
ROWS = 8
ROUNDS = 9


def median_times(products: Mapping[K, Callable[[], object]]) -> dict[K, float]:
    """Seconds that each product takes: medians of interleaved rounds, behind one that prepares the kernels."""
    times: dict[K, list[float]] = {kind: [] for kind in products}
    order = random.Random(0)
    for round_ in range(ROUNDS + 1):
        for kind in order.sample(list(products), len(products)):
            started = time.perf_counter()
            products[kind]()
            if round_:
                times[kind].append(time.perf_counter() - started)
    return {kind: statistics.median(taken) for kind, taken in times.items()}
