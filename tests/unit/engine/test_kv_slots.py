from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.kv_slots import AttentionRule, KvSlots, SlotTokens, make_spans, pack_step, slot_attention
from core.engine.program import Program
from core.engine.step_attention import DECODE_STEP, StepAttention, shape_of

HEADS, KV_HEADS, DIM = 4, 2, 8


def naive_attention(query, keys, values, position, rule):
    """One token of one slot, head by head: the definition."""
    begin = 0 if rule.window is None else max(0, position - rule.window + 1)
    outputs = []
    for head in range(HEADS):
        kv_head = head * KV_HEADS // HEADS
        scores = keys[begin : position + 1, kv_head] @ query[head] * rule.scale
        if rule.softcap is not None:
            scores = torch.tanh(scores / rule.softcap) * rule.softcap
        outputs.append(scores.softmax(0) @ values[begin : position + 1, kv_head])
    return torch.stack(outputs)


def begin(kv, parts):
    kv.begin(pack_step([(part, [0] * part.count) for part in parts], torch.device("cpu")))


def attend_bound(kv, parts, states, rule):
    """What StepAttention attends to."""
    step = pack_step([(part, [0] * part.count) for part in parts], torch.device("cpu"))
    program = Program(states[0])
    out = torch.empty_like(states[0])
    StepAttention(kv, step.spans, step.slots, step.positions[0]).bind(program, 0, states, rule, out)
    program.run()
    return out


class Scene:
    """Slots filled with known keys and values."""

    def __init__(self, slots, max_tokens, rule, seed):
        self.kv, self.bound_kv = KvSlots(slots, max_tokens), KvSlots(slots, max_tokens)
        self.rule = rule
        self.random = torch.Generator().manual_seed(seed)
        self.keys = torch.zeros(slots, max_tokens, KV_HEADS, DIM)
        self.values = torch.zeros(slots, max_tokens, KV_HEADS, DIM)

    def step(self, parts):
        """Whether what the slots attend to is the definition's, for every token of the step."""
        tokens = sum(part.count for part in parts)
        draw = [torch.randn(tokens, heads, DIM, generator=self.random) for heads in (HEADS, KV_HEADS, KV_HEADS)]
        query, key, value = draw
        places = [(part.slot, part.start + i) for part in parts for i in range(part.count)]
        for token, (slot, position) in enumerate(places):
            self.keys[slot, position] = key[token]
            self.values[slot, position] = value[token]
        begin(self.kv, parts)
        actual = self.kv.attend(0, query, key, value, self.rule)
        bound = attend_bound(self.bound_kv, parts, (query, key, value), self.rule)
        expected = [
            naive_attention(query[token], self.keys[slot], self.values[slot], position, self.rule)
            for token, (slot, position) in enumerate(places)
        ]
        return all(torch.allclose(each, torch.stack(expected), rtol=1e-4, atol=1e-5) for each in (actual, bound))


rules = st.builds(
    AttentionRule,
    st.just(1 / math.sqrt(DIM)),
    st.sampled_from([None, 1, 3, 16, 40]),
    st.sampled_from([None, 5.0]),
)


@settings(max_examples=60)
@given(rules, st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=6), st.integers(0, 9))
def test_packed_slots_attend_as_if_each_were_alone(rule, steps, seed):
    scene = Scene(4, 128, rule, seed)
    lengths = [0] * 4
    for counts in steps:
        parts = [SlotTokens(slot, lengths[slot], count) for slot, count in enumerate(counts) if count]
        parts.sort(key=lambda part: part.count > 1)  # decoding slots come first, as the scheduler has them
        lengths = [length + count for length, count in zip(lengths, counts, strict=True)]
        if parts:
            assert scene.step(parts)


def test_a_slot_that_is_taken_over_sees_nothing_of_what_it_held():
    scene = Scene(2, 64, AttentionRule(0.3), seed=1)
    assert scene.step([SlotTokens(0, 0, 40), SlotTokens(1, 0, 30)])
    assert scene.step([SlotTokens(0, 0, 3), SlotTokens(1, 30, 2)])
    assert scene.step([SlotTokens(0, 3, 1), SlotTokens(1, 32, 1)])


def test_neighbouring_decodes_share_a_call_and_prompts_get_their_own():
    parts = [SlotTokens(0, 9, 1), SlotTokens(1, 5, 1), SlotTokens(3, 5, 1), SlotTokens(4, 0, 6), SlotTokens(2, 0, 2)]
    spans = make_spans(parts)
    assert [(span.begin, span.end, len(span.parts)) for span in spans] == [(0, 2, 2), (2, 3, 1), (3, 9, 1), (9, 11, 1)]


def test_a_very_long_row_does_not_make_short_ones_pay():
    spans = make_spans([SlotTokens(0, 20, 1), SlotTokens(1, 1900, 1), SlotTokens(2, 1500, 1)])
    assert [len(span.parts) for span in spans] == [1, 2]


@pytest.mark.parametrize("rule", [AttentionRule(0.3), AttentionRule(0.3, window=20), AttentionRule(0.3, softcap=5.0)])
def test_a_program_of_decoding_slots_holds_until_one_outgrows_its_length(rule):
    kv, reference = KvSlots(3, 128), KvSlots(3, 128)
    random = torch.Generator().manual_seed(1)
    draw = lambda tokens: tuple(torch.randn(tokens, n, DIM, generator=random) for n in (HEADS, KV_HEADS, KV_HEADS))  # noqa: E731
    lengths = {0: 40, 1: 9}
    for slot, length in lengths.items():
        prompt = draw(length)
        for each in (kv, reference):
            begin(each, [SlotTokens(slot, 0, length)])
            each.attend(0, *prompt, rule)
    states = draw(2)
    slots, positions, out = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.long), torch.empty_like(states[0])
    spans = make_spans([SlotTokens(slot, length, 1) for slot, length in lengths.items()])
    program = Program(out)
    StepAttention(kv, spans, slots, positions).bind(program, 0, states, rule, out)
    for step in range(DECODE_STEP - 40):
        parts = [SlotTokens(slot, length + step, 1) for slot, length in lengths.items()]
        assert shape_of(make_spans(parts)[0]) == shape_of(spans[0])
        for state, new in zip(states, draw(2), strict=True):
            state.copy_(new)
        positions.copy_(torch.tensor([part.start for part in parts]))
        program.run()
        begin(reference, parts)
        torch.testing.assert_close(out, reference.attend(0, *states, rule), rtol=1e-4, atol=1e-5)
    assert shape_of(make_spans([SlotTokens(0, DECODE_STEP, 1), SlotTokens(1, 33, 1)])[0]) != shape_of(spans[0])


def test_numbers_that_are_none_do_not_outlive_a_clear():
    kv = KvSlots(1, 32)
    bad = torch.full((20, KV_HEADS, DIM), math.nan)
    begin(kv, [SlotTokens(0, 0, 20)])
    kv.attend(0, torch.zeros(20, HEADS, DIM), bad, bad, AttentionRule(1.0))
    kv.clear(0)
    begin(kv, [SlotTokens(0, 0, 2)])
    good = torch.ones(2, KV_HEADS, DIM)
    assert kv.attend(0, torch.ones(2, HEADS, DIM), good, good, AttentionRule(1.0)).isfinite().all()


@pytest.mark.parametrize("extra", [{"s_aux": torch.ones(1)}, {"position_bias": torch.ones(1)}])
def test_attention_it_does_not_know_is_refused(extra):
    tensor = torch.zeros(1, KV_HEADS, 1, DIM)
    with pytest.raises(ValueError, match="more than a causal"):
        slot_attention(torch.nn.Module(), tensor, tensor, tensor, None, kv_slots=KvSlots(1, 16), **extra)
