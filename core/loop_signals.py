"""Signals as calls in a running event loop, also where the loop itself cannot hear them, as on Windows."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def calls_on(*numbers: signal.Signals, call: Callable[[], object]) -> Iterator[None]:
    """Within the block each of these signals calls `call` in the loop that runs; after it they do what they did before.

    Only in the main thread.
    """
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        try:
            loop.add_signal_handler(number, call)
        except NotImplementedError:
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(call))
    try:
        yield
    finally:
        for number, handler in former.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)
