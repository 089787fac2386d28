"""HTTP/1.1 whose requests come in a bounded number of pieces.

h11 works some 15 µs on each line of a head and on each chunk of a body, all that one read of the socket holds at once:
a mebibyte of chunks of one byte would take seconds in which nobody else is served. Knows no routes.
"""

from __future__ import annotations

import re

import h11

MAX_HEAD_LINES = 256
MAX_HEAD_BYTES = 64 * 1024
MAX_PIECES = 4096  # of a body: chunks, or what the socket gives at once
END_OF_HEAD = re.compile(rb"\n\r?\n")


class BoundedHttp(h11.Connection):
    """h11's side of a server's connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._pieces = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's. Raises h11.RemoteProtocolError."""
        if self.their_state is h11.IDLE:
            self._pieces = 0
            self._check_head(END_OF_HEAD.split(self.trailing_data[0], 1)[0])
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces += 1
            if self._pieces > MAX_PIECES:
                raise h11.RemoteProtocolError("too many chunks", error_status_hint=400)
        return event

    @staticmethod
    def _check_head(head: bytes) -> None:
        if len(head) > MAX_HEAD_BYTES or head.count(b"\n") > MAX_HEAD_LINES:
            raise h11.RemoteProtocolError("too long a head", error_status_hint=431)
