from __future__ import annotations

import signal

import pytest

from bot.commands.stop_signals import Stopped, stop_by_exception


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_an_exception_within_the_block_and_what_it_was_before_after_it(
    number: signal.Signals, status: int
) -> None:
    former = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stop_by_exception():
        signal.raise_signal(number)
    assert caught.value.exit_code == status
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) == former


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_by_exception():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, former)
