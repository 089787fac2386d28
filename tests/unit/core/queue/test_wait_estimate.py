from __future__ import annotations

import pytest

from core.queue.fair_line import Place
from core.queue.wait_estimate import WaitEstimate


def test_nothing_is_estimated_before_a_reply_has_finished():
    assert WaitEstimate().wait_s(Place(3, 0), running=2, slots=2) is None


def test_a_free_slot_means_no_wait():
    estimate = WaitEstimate()
    estimate.learn(10.0)
    assert estimate.wait_s(Place(0, 0), running=1, slots=2) == 0


@pytest.mark.parametrize(("ahead", "expected_s"), [(0, 5.0), (1, 10.0), (3, 20.0)])
def test_busy_slots_come_free_every_mean_duration_over_slots(ahead, expected_s):
    estimate = WaitEstimate()
    estimate.learn(10.0)
    assert estimate.wait_s(Place(ahead, 0), running=2, slots=2) == expected_s


def test_jobs_of_one_conversation_wait_for_each_other_however_many_slots_are_free():
    estimate = WaitEstimate()
    estimate.learn(10.0)
    assert estimate.wait_s(Place(0, 2), running=1, slots=8) == 20.0


def test_the_average_follows_newer_replies():
    estimate = WaitEstimate()
    estimate.learn(10.0)
    estimate.learn(20.0)
    assert estimate.wait_s(Place(0, 0), running=1, slots=1) == pytest.approx(12.0)
