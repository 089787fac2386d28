"""SIGTERM and SIGHUP end a command as Ctrl-C does: by an exception, so that whatever is open is closed in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal asked the command to end. `exit_code` is 128 and the signal's number, as shells count."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stop_by_exception() -> Iterator[None]:
    """Within the block these signals raise Stopped in the main thread. One that was ignored, as by nohup, stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: handler for number, handler in former.items() if handler not in (signal.SIG_IGN, None)}
    for number in heard:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    if number != signal.SIGTERM:
        _leave_terminal()
    raise Stopped(number)


def _leave_terminal() -> None:
    """The terminal is gone: whatever is still written to it would fail, and break the orderly end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
