"""Discord's buckets, off unless a test turns them on: so many requests in so many seconds per route and channel."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    method: str
    route: str
    limit: int
    seconds: float


# What is observed of Discord: five sends and five edits in five seconds per channel.
OBSERVED = (
    Bucket("POST", "/channels/{channel_id}/messages", 5, 5.0),
    Bucket("PATCH", "/channels/{channel_id}/messages/{message_id}", 5, 5.0),
    Bucket("POST", "/webhooks/{webhook_id}/{webhook_token}", 5, 2.0),
    Bucket("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", 5, 5.0),
)


class RateLimits:
    """`refused` lists every request that had to be answered with 429, as (method, route, major parameter)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.refused: list[tuple[str, str, str]] = []
        self._buckets: tuple[Bucket, ...] = ()
        self._now = now
        self._used: dict[tuple[Bucket, str], deque[float]] = defaultdict(deque)

    def turn_on(self, *buckets: Bucket) -> None:
        self._buckets = buckets or OBSERVED

    def turn_off(self) -> None:
        self._buckets = ()
        self._used.clear()

    def take(self, method: str, route: str, major: str) -> tuple[float | None, dict[str, str]]:
        """Seconds to wait where the bucket is empty, else None; and the headers that say how full it is."""
        bucket = next((one for one in self._buckets if (one.method, one.route) == (method, route)), None)
        if bucket is None:
            return None, {}
        used, now = self._used[bucket, major], self._now()
        while used and used[0] <= now - bucket.seconds:
            used.popleft()
        empty = len(used) >= bucket.limit
        if empty:
            self.refused.append((method, route, major))
        else:
            used.append(now)
        wait = (used[0] if used else now) + bucket.seconds - now
        headers = {
            "X-RateLimit-Limit": str(bucket.limit), "X-RateLimit-Remaining": str(bucket.limit - len(used)),
            "X-RateLimit-Reset-After": f"{wait:.3f}", "X-RateLimit-Reset": f"{time.time() + wait:.3f}",
            "X-RateLimit-Bucket": f"{method}:{route}",
        }  # fmt: skip
        return (wait if empty else None), headers
