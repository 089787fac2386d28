"""Discord's buckets, off unless a test turns them on: so many requests in so many seconds per route and channel."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.fakes.fake_discord.refusals import Refusal

if TYPE_CHECKING:
    from tests.fakes.fake_discord.messages import Message

OLD, OLD_EDITS, OLD_EDITS_PER = timedelta(hours=1), 3, timedelta(seconds=20)


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


class OldEdits:
    """The limit on edits of messages older than an hour, always on: three in 20 s a channel, as bots' authors observe.

    `refused` lists the messages whose edits had to be refused.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.refused: list[Message] = []
        self._now = now
        self._made: dict[int, deque[datetime]] = defaultdict(deque)

    def take(self, message: Message) -> None:
        """Raises Refusal where this edit is one too many."""
        made, now = self._made[message.channel.id], self._now()
        if now - message.created_at < OLD:
            return
        while made and made[0] <= now - OLD_EDITS_PER:
            made.popleft()
        if len(made) < OLD_EDITS:
            made.append(now)
            return
        self.refused.append(message)
        wait_s = (made[0] + OLD_EDITS_PER - now).total_seconds()
        sentence = "Maximum number of edits to messages older than 1 hour reached. Try again later"
        raise Refusal(429, 30046, sentence, retry_after=wait_s)
