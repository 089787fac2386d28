from __future__ import annotations

import pytest

from core.engine.prefill_pace import LONG_PROMPT_TOKENS, MIN_TOKENS, PrefillPace

LONG = 2_000
DECODE_S, TOKEN_S = 0.03, 0.001


def run_step(pace, prompt_tokens, decoding, *, wanted, token_s=TOKEN_S):
    """One step as an engine takes it; returns its prompt tokens and its seconds."""
    tokens = min(wanted, pace.tokens_for(prompt_tokens, decoding))
    seconds = (DECODE_S if decoding else 0.0) + token_s * tokens
    pace.note(decoding, tokens, seconds)
    return tokens, seconds


def learnt():
    pace = PrefillPace(256)
    run_step(pace, 100, 0, wanted=100)
    for _ in range(20):
        run_step(pace, 0, 8, wanted=0)
    return pace


def test_a_long_prompt_stretches_a_step_at_most_twofold():
    pace = learnt()
    steps = [run_step(pace, LONG, 8, wanted=LONG) for _ in range(50)]
    assert all(seconds <= 2.001 * DECODE_S for _, seconds in steps)
    assert steps[-1][0] >= 25  # and uses what it may


def test_it_settles_where_a_token_costs_more_than_it_seemed():
    pace = learnt()
    steps = [run_step(pace, LONG, 8, wanted=LONG, token_s=0.004) for _ in range(50)]
    assert steps[-1][1] <= 2.2 * DECODE_S


@pytest.mark.parametrize(("prompt_tokens", "decoding"), [(LONG, 0), (LONG_PROMPT_TOKENS - 1, 8)])
def test_alone_or_short_a_prompt_is_read_at_full_speed(prompt_tokens, decoding):
    assert learnt().tokens_for(prompt_tokens, decoding) == 256


def test_before_anything_is_known_nothing_is_held_back():
    assert PrefillPace(256).tokens_for(LONG, 8) == 256


def test_a_prompt_always_moves_on():
    pace = PrefillPace(256)
    pace.note(8, 0, 0.001)
    pace.note(0, 1, 10.0)
    assert pace.tokens_for(LONG, 8) == MIN_TOKENS


def test_a_step_that_seems_to_cost_nothing_divides_by_no_zero():
    pace = learnt()
    for _ in range(50):
        pace.note(8, 10, 0.5 * DECODE_S)
    assert pace.tokens_for(LONG, 8) <= 256
