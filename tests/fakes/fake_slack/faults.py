"""What goes wrong at will: the next calls of a method are refused, delayed, cut off, or answered into the void."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(eq=False)
class Fault:
    """One order for trouble. `hits` counts the calls it struck; `struck` is set with the first."""

    method: str
    kind: str
    times: int
    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, method: str) -> bool:
        return self.hits < self.times and fnmatchcase(method, self.method)

    def strike(self) -> None:
        self.hits += 1
        self.struck.set()

    def release(self) -> None:
        """Lets calls that hang be answered after all."""
        self.released.set()


class Faults:
    """Methods are patterns such as "chat.*" or "chat.update"."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []

    def refuse(self, method: str, error: str, times: int = 1, **more: Any) -> Fault:
        """The next `times` calls get `{"ok": false, "error": error}` and do nothing."""
        return self._order(Fault(method, "refuse", times, body={"ok": False, "error": error, **more}))

    def rate_limit(self, method: str, times: int = 1, retry_after_s: int = 1) -> Fault:
        """429 with Retry-After in whole seconds, as Slack sends it; 0 lets a test go on at once."""
        body, headers = {"ok": False, "error": "ratelimited"}, {"Retry-After": str(retry_after_s)}
        return self._order(Fault(method, "refuse", times, 429, body, headers))

    def break_down(self, method: str, status: int = 503, times: int = 1) -> Fault:
        """A 5xx from in front of Slack, with a page instead of JSON."""
        return self._order(Fault(method, "page", times, status))

    def hang(self, method: str, times: int = 1) -> Fault:
        """The next calls get no answer before `fault.release()`; then they are carried out."""
        return self._order(Fault(method, "hang", times))

    def cut(self, method: str, times: int = 1) -> Fault:
        """The socket closes instead of an answer, and nothing is done."""
        return self._order(Fault(method, "cut", times))

    def lose_answer(self, method: str, times: int = 1) -> Fault:
        """The call is carried out, then the socket closes: the bot can't know."""
        return self._order(Fault(method, "lose", times))

    def clear(self) -> None:
        for fault in self._orders:
            fault.release()
        self._orders.clear()

    def strike(self, method: str) -> Fault | None:
        for fault in self._orders:
            if fault.matches(method):
                fault.strike()
                return fault
        return None

    def _order(self, fault: Fault) -> Fault:
        self._orders.append(fault)
        return fault
