"""What is compared: a name for each system, whether it applies LoRA, and how it is built.

Knows the protocol all systems follow, and nothing of how they work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.random_base import RandomBase
from benchmarks.workloads import Request

# How many replies a system may write at once.
MAX_BATCH = 16


@dataclass(frozen=True)
class Reply:
    """What a system wrote, and when, in seconds from the start of the workload."""

    tokens: tuple[int, ...]
    first_token_s: float
    finished_s: float


@dataclass(frozen=True)
class Served:
    """A system's replies to a workload, in the order of the requests, and the processor time they took."""

    replies: list[Reply]
    cpu_s: float


class System(Protocol):
    """One way to write replies with a base model and its adapters."""

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        """Write all replies, none before its request arrives; in the order of the requests."""

    def close(self) -> None:
        """End threads and free memory."""


@dataclass(frozen=True)
class SystemKind:
    """A system by name. `build` runs in the system's own process. `is_lone`: it takes one request at a time only."""

    name: str
    build: Callable[[RandomBase], System]
    has_lora: bool = True
    is_lone: bool = False


class ArrivalLine:
    """Requests as they arrive, for systems that look for work by themselves."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._waiting = deque(sorted(requests, key=lambda request: request.arrival_s))
        self._started = time.perf_counter()

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return self.since_start(time.perf_counter())

    def since_start(self, clock_s: float) -> float:
        """A reading of time.perf_counter as seconds since the start."""
        return clock_s - self._started

    def take(self, limit: int) -> list[Request]:
        """Up to `limit` requests that have arrived, waiting for the first of them; none when all were taken."""
        if self._waiting:
            time.sleep(max(0.0, self._waiting[0].arrival_s - self.now_s))
        taken: list[Request] = []
        while self._waiting and len(taken) < limit and self._waiting[0].arrival_s <= self.now_s:
            taken.append(self._waiting.popleft())
        return taken

    @property
    def has_more(self) -> bool:
        return bool(self._waiting)
