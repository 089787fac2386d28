"""Which browser each of the playground's session names belongs to. Knows no HTTP and not what a session holds.

A page makes up its own session name, so a name alone proves nothing, and anybody may send a new one with every
request. Here a name belongs to the cookie that used it first, and there are only so many names.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from core.errors import InvalidInput, PersonasError, QueueFull

MAX_SESSIONS = 500
MAX_SESSIONS_PER_COOKIE = 20
MAX_STREAMS = 4  # a page has its heartbeat and one stream of answers; a reload may overlap with the old one
NAME = re.compile(r"[a-z0-9]{1,20}")  # Gradio's page takes them from Math.random
COOKIE = re.compile(r"[A-Za-z0-9_-]{22}")


class NotYours(PersonasError):
    """The session belongs to another browser, or this one has no cookie of ours yet."""

    http_status = 403


def new_cookie() -> str:
    return secrets.token_urlsafe(16)


class PageSessions:
    """Claims session names for cookies. The longest unused ones make room, but none that is open or busy."""

    def __init__(self, *, is_busy: Callable[[str], bool], forget: Callable[[str], None]) -> None:
        """`is_busy` tells whether something is answered in a session; `forget` drops what it holds."""
        self._is_busy = is_busy
        self._forget = forget
        self._owners: OrderedDict[str, str] = OrderedDict()  # the longest unused name is first
        self._streams: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._owners)

    def claim(self, name: object, cookie: str | None) -> str:
        """The session's name, which is this cookie's from now on. Raises InvalidInput, NotYours and QueueFull."""
        if not isinstance(name, str) or NAME.fullmatch(name) is None:
            raise InvalidInput("The session's name must be 1 to 20 small letters and digits; open this page again.")
        if cookie is None or self._owners.get(name, cookie) != cookie:
            raise NotYours("This session belongs to another browser, or cookies are off; open this page again.")
        if name not in self._owners:
            self._make_room(
                [other for other, owner in self._owners.items() if owner == cookie], below=MAX_SESSIONS_PER_COOKIE
            )
            self._make_room(self._owners, below=MAX_SESSIONS)
        self._owners[name] = cookie
        self._owners.move_to_end(name)
        return name

    @contextmanager
    def streaming(self, name: str) -> Iterator[None]:
        """Keep a claimed session while one of its streams is open. Raises QueueFull when too many are."""
        if self._streams[name] >= MAX_STREAMS:
            raise QueueFull("This page has too many connections open; close it, and open it again.")
        self._streams[name] += 1
        try:
            yield
        finally:
            self._streams[name] -= 1
            if not self._streams[name]:
                del self._streams[name]

    def _make_room(self, names: Collection[str], *, below: int) -> None:
        """Forget the longest unused of these names if there are too many. Raises QueueFull when all are in use."""
        if len(names) < below:
            return
        unused = next((name for name in names if not self._streams[name] and not self._is_busy(name)), None)
        if unused is None:
            raise QueueFull("Too many pages are open; close some, and open this one again.")
        del self._owners[unused]
        self._forget(unused)
