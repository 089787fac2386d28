from __future__ import annotations

import pytest

from core.engine.thread_choice import (
    FIRST_PAUSE_STEPS,
    TRIAL_STEPS,
    ThreadChoice,
    fastest_count,
    is_left_to_us,
)

QUIET = {1: 1.0, 2: 0.6}
BUSY = {1: 1.1, 2: 7.0}  # a neighbour has taken one of two cores


def run(choice, seconds, steps, tokens=8):
    """Steps that take `seconds` by their count of threads; returns the counts."""
    counts = []
    for _ in range(steps):
        counts.append(choice.threads_for(tokens))
        choice.note(tokens, seconds[counts[-1]])
    return counts


def cost(counts, seconds):
    return sum(seconds[count] for count in counts)


@pytest.mark.parametrize(("seconds", "best"), [(QUIET, 2), (BUSY, 1), ({1: 1.0, 2: 0.97}, 1)])
def test_the_fastest_count_is_found_and_two_that_are_alike_take_one_core(seconds, best):
    choice = ThreadChoice(2)
    trial = run(choice, seconds, 2 * TRIAL_STEPS)
    assert set(trial) == {1, 2}
    assert set(run(choice, seconds, 100)) == {best}


def test_steps_of_another_size_are_tried_on_their_own():
    choice = ThreadChoice(2)
    for _ in range(40):
        for tokens, seconds in ((1, {1: 1.0, 2: 1.2}), (512, {1: 100.0, 2: 50.0})):
            run(choice, seconds, 1, tokens)
    assert (choice.threads_for(1), choice.threads_for(512)) == (1, 2)


def test_a_neighbour_costs_less_than_half_and_is_left_behind_when_it_goes():
    choice = ThreadChoice(2)
    run(choice, QUIET, 100)
    while_busy = run(choice, BUSY, 2_000)
    assert cost(while_busy, BUSY) < 1.5 * 2_000 * BUSY[1]
    after = run(choice, QUIET, 20_000)
    assert set(after[-100:]) == {2}


def test_a_busy_count_is_not_tried_to_the_end():
    choice = ThreadChoice(2)
    counts = run(choice, BUSY, 2 * TRIAL_STEPS)
    assert counts.count(2) == 2


def test_what_one_size_of_step_has_learnt_spares_the_next_its_first_steps():
    choice = ThreadChoice(2)
    run(choice, BUSY, 50)
    counts = run(choice, {1: 100.0, 2: 700.0}, 50, tokens=512)
    assert counts[0] == 1
    assert counts.count(2) == 1


def test_a_trial_that_changes_nothing_comes_less_and_less_often():
    choice = ThreadChoice(2)
    counts = run(choice, BUSY, 40 * FIRST_PAUSE_STEPS)
    assert counts.count(2) <= 2 + 7  # after 200, 400, 800, ... steps


def test_one_slow_step_changes_nothing():
    choice = ThreadChoice(2)
    run(choice, QUIET, 50)
    choice.note(8, 60.0)
    assert set(run(choice, QUIET, 100)) == {2}


def test_one_core_leaves_nothing_to_choose():
    assert set(run(ThreadChoice(1), {1: 1.0}, 1_000)) == {1}


def test_all_halves_of_many_cores_are_tried():
    seconds = {1: 4.0, 3: 2.0, 6: 1.0, 12: 1.5}
    choice = ThreadChoice(12)
    assert set(run(choice, seconds, 4 * TRIAL_STEPS)) == set(seconds)
    assert set(run(choice, seconds, 100)) == {6}


def test_what_would_take_very_long_is_not_tried_at_all():
    seconds = {count: 64 / count for count in (1, 2, 4, 8, 16, 32)}
    trial = run(ThreadChoice(32), seconds, 40)
    assert set(trial[-20:]) == {32}
    assert min(trial) == 8


def test_fewer_threads_win_where_more_gain_nothing():
    assert fastest_count({1: 1.03, 2: 1.0, 4: 1.0}) == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"OMP_NUM_THREADS": ""}, True), ({"OMP_NUM_THREADS": "2"}, False), ({"MKL_NUM_THREADS": "1"}, False)],
)
def test_an_operators_own_word_is_final(environment, expected):
    assert is_left_to_us(environment) is expected
