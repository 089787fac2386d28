"""Decoding steps of a fused runner keep their program from step to step, and none that does not fit any more."""

from __future__ import annotations

import pytest
import torch

from core.engine import fused_llama
from core.engine.fused_llama import FusedRunner
from core.engine.step_attention import DECODE_STEP
from tests.models.decoding_side import SLOTS, Side

PROMPTS = [[(13 * i + 7 * slot) % 290 + 3 for i in range(9 + 5 * slot)] for slot in range(SLOTS)]


@pytest.fixture
def bound(monkeypatch):
    """Every program that is made, by how many tokens it is for."""
    sizes = []
    really = FusedRunner._bind

    def bind(self, inputs, attention):
        sizes.append(inputs.shape[1])
        return really(self, inputs, attention)

    monkeypatch.setattr(FusedRunner, "_bind", bind)
    return sizes


@pytest.fixture
def side(folder):
    side = Side(folder)
    assert isinstance(side.runner, FusedRunner)
    side.load(0, seed=1, only="self_attn")
    side.load(1, seed=2, r=12)
    return side


def afresh(folder, side, slots, rows):
    """The logits of the next token of these slots, from a runner that has read all of their texts at once."""
    other = Side(folder)
    for row, adapter in rows.items():
        other.load(row, **adapter)
    logits = [other.begin(slot, side.stack._slot_weights[slot], side.texts[slot]) for slot in slots]
    return torch.cat(logits)


def test_replies_in_the_same_slots_share_a_program_until_one_outgrows_its_length(side, bound):
    side.begin(0, {0: 1.0}, PROMPTS[0])
    side.begin(1, {1: 0.5}, PROMPTS[1])
    bound.clear()
    while len(side.texts[1]) <= DECODE_STEP:
        side.decode([0, 1])
    assert bound == [2]
    side.decode([0, 1])
    assert bound == [2, 2]


def test_every_change_of_what_decodes_or_of_its_adapters_is_seen(folder, side, bound):
    for slot in range(3):
        side.begin(slot, ({0: 1.0}, {1: 0.5}, {})[slot], PROMPTS[slot])
    side.decode([0, 1, 2])
    mlp, second = {"seed": 5, "only": "mlp"}, {"seed": 2, "r": 12}
    changes = [
        (lambda: side.load(0, **mlp), {0: mlp, 1: second}),  # where the one before had nothing
        (lambda: side.stack.assign(2, {0: 0.3, 1: -1.0}), {0: mlp, 1: second}),
        (lambda: side.stack.assign(1, {}), {0: mlp, 1: second}),
        (lambda: side.load(1, seed=6, r=20), {0: mlp, 1: {"seed": 6, "r": 20}}),  # all matrices move
        (lambda: side.stack.clear(1), {0: mlp}),
    ]
    for change, rows in changes:
        change()
        for slot in range(3):  # keys and values of the new weights
            side.begin(slot, side.stack._slot_weights[slot], side.texts[slot])
            side.texts[slot].pop()
        expected = afresh(folder, side, range(3), rows)
        bound.clear()
        torch.testing.assert_close(side.decode([0, 1, 2]), expected, rtol=1e-4, atol=1e-4)
        assert bound == [3]


def test_no_more_programs_are_kept_than_allowed_and_the_latest_stay(side, bound, monkeypatch):
    monkeypatch.setattr(fused_llama, "MAX_PROGRAMS", 2)
    for slot in range(3):
        side.begin(slot, {}, PROMPTS[slot])
    bound.clear()
    for slots in ([0], [1], [0], [2], [0], [1]):
        side.decode(slots)
    assert len(side.runner._programs) == 2
    assert len(bound) == 4  # [1] had to be made again


def test_a_reset_forgets_the_programs_with_the_slots_they_read(side, bound):
    side.begin(0, {0: 1.0}, PROMPTS[0])
    expected = side.decode([0])
    side.runner.reset()
    assert not side.runner._programs
    side.begin(0, {0: 1.0}, PROMPTS[0])
    torch.testing.assert_close(side.decode([0]), expected)


def test_wanted_parts_are_given_in_the_order_in_which_they_are_wanted(side):
    for slot in range(3):
        side.begin(slot, {}, PROMPTS[slot])
    parts = [side.next_part(slot) for slot in range(3)]
    every = side.runner.forward(parts, [0, 1, 2]).clone()
    torch.testing.assert_close(side.runner.forward(parts, [2, 0]), every[[2, 0]])
    torch.testing.assert_close(side.runner.forward(parts, [2, 1, 0]), every.flip(0))
    assert side.runner.forward(parts, []).shape == (0, every.shape[1])
