"""What goes wrong at will: the next requests that match are refused, delayed, cut off, or answered into the void."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(eq=False)
class Fault:
    """One order for trouble. `hits` counts the requests it struck; `struck` is set with the first."""

    method: str
    path: str
    kind: str
    times: int
    status: int = 0
    retry_after: float = 0.0
    by_cloudflare: bool = False
    hits: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, method: str, path: str) -> bool:
        return self.hits < self.times and self.method in ("*", method) and fnmatchcase(path, self.path)

    def strike(self) -> None:
        self.hits += 1
        self.struck.set()

    def release(self) -> None:
        """Lets requests that hang be answered after all."""
        self.released.set()

    def answer(self) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, body and headers of a refusal. A 429 carries `Via`: without it, it is Cloudflare's ban."""
        if self.status == 429:
            body = {"message": "You are being rate limited.", "retry_after": self.retry_after, "global": False}
            via = {} if self.by_cloudflare else {"Via": "1.1 google"}
            return 429, body, {"Retry-After": str(self.retry_after), **via}
        return self.status, {"message": "Internal Server Error", "code": 0}, {}


class Faults:
    """Paths are patterns such as "/channels/*/messages/*", after /api/v10."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []

    def refuse(
        self, method: str, path: str, status: int, times: int = 1, retry_after: float = 0.05,
        by_cloudflare: bool = False,
    ) -> Fault:  # fmt: skip
        """The next `times` requests are answered with 429 (and Retry-After in seconds) or a 5xx, and do nothing."""
        return self._order(Fault(method, path, "refuse", times, status, retry_after, by_cloudflare))

    def hang(self, method: str, path: str, times: int = 1) -> Fault:
        """The next requests get no answer before `fault.release()`; then they are carried out."""
        return self._order(Fault(method, path, "hang", times))

    def cut(self, method: str, path: str, times: int = 1) -> Fault:
        """The socket closes instead of an answer, and nothing is done."""
        return self._order(Fault(method, path, "cut", times))

    def lose_answer(self, method: str, path: str, times: int = 1) -> Fault:
        """The request is carried out, then the socket closes: the bot can't know."""
        return self._order(Fault(method, path, "lose", times))

    def clear(self) -> None:
        for fault in self._orders:
            fault.release()
        self._orders.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        for fault in self._orders:
            if fault.matches(method, path):
                fault.strike()
                return fault
        return None

    def _order(self, fault: Fault) -> Fault:
        self._orders.append(fault)
        return fault
