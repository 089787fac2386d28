from __future__ import annotations

import signal

import pytest


@pytest.fixture
def signals():
    """The command takes over what Ctrl-C means; the tests want it back."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)
