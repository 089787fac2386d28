from __future__ import annotations

from bot.chat.sliding_window import SlidingWindow
from tests.examples.queue import FrozenClock


def test_what_was_counted_holds_until_the_window_has_passed():
    clock = FrozenClock()
    window = SlidingWindow(clock, 3600.0)
    window.add("ann")
    clock.now += 3000.0
    assert window.wait_s("ann", 1) == 600.0
    assert window.wait_s("ann", 2) == 0.0
    assert window.wait_s("bob", 1) == 0.0
    clock.now += 600.0
    assert window.wait_s("ann", 1) == 0.0
    assert not window._times


def test_without_a_limit_nobody_waits_and_with_none_allowed_everybody_does():
    window = SlidingWindow(FrozenClock(), 60.0)
    window.add("ann")
    assert window.wait_s("ann", None) == 0.0
    assert window.wait_s("bob", 0) == 60.0


def test_several_at_once_wait_until_all_of_them_fit_and_pass_alone_in_any_case():
    clock = FrozenClock()
    window = SlidingWindow(clock, 60.0)
    assert window.wait_s("ann", 1, count=2) == 0.0
    window.add("ann")
    clock.now += 10.0
    window.add("ann")
    assert window.wait_s("ann", 4, count=2) == 0.0
    assert window.wait_s("ann", 3, count=2) == 50.0
    assert window.wait_s("ann", 1, count=2) == 60.0
