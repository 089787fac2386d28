"""Slack's limits, off unless a test turns them on: calls per minute and method, and posts per second and channel.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

POSTS = ("chat.postMessage", "chat.startStream")


@dataclass(frozen=True)
class Limit:
    calls: int
    seconds: float


class RateLimits:
    """`refused` lists every call that had to be answered with 429, as (method, channel)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.refused: list[tuple[str, str]] = []
        self._limits: dict[str, Limit] = {}
        self._now = now
        self._used: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def turn_on(self, limits: Mapping[str, Limit] | None = None) -> None:
        """By method; without `limits`, one post per second and channel, which Slack documents."""
        self._limits = dict(limits or {method: Limit(1, 1.0) for method in POSTS})

    def turn_off(self) -> None:
        self._limits = {}
        self._used.clear()

    def take(self, method: str, channel: str) -> int | None:
        """Whole seconds to wait where the limit is used up, else None."""
        limit = self._limits.get(method)
        if limit is None:
            return None
        used, now = self._used[method, channel if method in POSTS else ""], self._now()
        while used and used[0] <= now - limit.seconds:
            used.popleft()
        if len(used) < limit.calls:
            used.append(now)
            return None
        self.refused.append((method, channel))
        return math.ceil(used[0] + limit.seconds - now)
