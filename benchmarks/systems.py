"""What is compared: a name for each system, whether it applies LoRA, and how it is built.

Knows the protocol all systems follow, and nothing of how they work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.random_base import RandomBase
from benchmarks.workloads import Request


@dataclass(frozen=True)
class Reply:
    """What a system wrote, and when each token was there, in seconds from the start of the workload.

    Where a system sends several tokens at once, they bear the same time.
    """

    tokens: tuple[int, ...]
    times_s: tuple[float, ...]

    @property
    def first_token_s(self) -> float:
        return self.times_s[0]

    @property
    def finished_s(self) -> float:
        return self.times_s[-1]


@dataclass(frozen=True)
class Served:
    """A system's replies to a workload, in the order of the requests, and what they took.

    `cpu_s` and `memory_bytes`, what is resident afterwards, count the system's process and those it started.
    """

    replies: list[Reply]
    cpu_s: float
    memory_bytes: int


class System(Protocol):
    """One way to write replies with a base model and its adapters."""

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        """Write all replies, none before its request arrives; in the order of the requests."""

    def close(self) -> None:
        """End threads and free memory."""


@dataclass(frozen=True)
class Capacity:
    """What a system is built for: `rows` replies at once, of `context_tokens` each with its prompt."""

    rows: int
    context_tokens: int


def always_there(base: RandomBase) -> str | None:
    """For systems that need nothing beyond this project's own packages."""
    return None


@dataclass(frozen=True)
class SystemKind:
    """A system by name. `build` runs in the system's own process. `is_lone`: it takes one request at a time only.

    `why_missing` says why it cannot take part and what helps, or None. With `is_checked` its tokens are held against
    the reference's; a system with another prompt or other weights cannot be.
    """

    name: str
    build: Callable[[RandomBase, Capacity], System]
    has_lora: bool = True
    is_lone: bool = False
    is_checked: bool = True
    why_missing: Callable[[RandomBase], str | None] = always_there


Write = Callable[[Request, Callable[[], float]], Awaitable[Reply]]
"""Writes one reply; the clock it is given tells the seconds since the workload began."""


async def write_as_they_arrive(requests: Sequence[Request], write: Write) -> list[Reply]:
    """All replies at once, each begun when its request arrives; in the order of the requests."""
    started = time.perf_counter()

    def now_s() -> float:
        return time.perf_counter() - started

    async def write_one(request: Request) -> Reply:
        await asyncio.sleep(max(0.0, request.arrival_s - now_s()))
        return await write(request, now_s)

    return await asyncio.gather(*(write_one(request) for request in requests))


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
