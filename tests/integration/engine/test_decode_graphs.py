"""Recorded decode steps against eager ones: the same tokens, whatever changes between two steps."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from core.engine import decode_graphs, transformers_engine
from core.engine.decode_graphs import GraphedRunner, StepShape, pad
from core.engine.fused_llama import FusedRunner
from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import make_runner
from core.engine.multi_lora import AdapterStack
from tests.models.decoding_side import MAX_TOKENS, SLOTS, Side
from tests.models.engine_cases import collect_all, mixed_requests, request, running_engine
from tests.models.tape_recorder import TapeRecorder
from tests.models.tiny_models import ARCHITECTURES, make_tiny_model

# A persona, a blend, a strength, the base model, and others of the same adapters.
WEIGHTS = ({0: 1.0}, {0: 0.7, 1: 0.3}, {1: 0.5}, {}, {1: 1.0}, {2: 1.0}, {0: 0.2, 1: 0.9, 2: 0.4}, {})
PROMPTS = [[(13 * i + 7 * slot) % 290 + 3 for i in range(9 + 5 * slot)] for slot in range(SLOTS)]


@pytest.fixture(autouse=True)
def short_lengths(monkeypatch):
    """So that small prompts fall into several lengths."""
    monkeypatch.setattr(decode_graphs, "LEAST_LENGTH", 32)


class Both:
    """Does everything on a recorded and on an eager side, and compares."""

    def __init__(self, folder):
        self.recorder = TapeRecorder()
        self.graphed, self.eager = Side(folder, self.recorder), Side(folder)
        assert isinstance(self.graphed.runner, GraphedRunner)
        assert isinstance(self.eager.runner, FusedRunner)

    def both(self, do):
        return [do(side) for side in (self.graphed, self.eager)]

    def compared(self, do):
        recorded, expected = self.both(do)
        torch.testing.assert_close(recorded, expected, rtol=1e-4, atol=1e-4)
        assert self.graphed.texts == self.eager.texts

    def load(self, row, **changes):
        self.both(lambda side: side.load(row, **changes))

    def assign(self, slot, weights):
        self.both(lambda side: side.stack.assign(slot, weights))

    def reset(self):
        self.both(lambda side: side.runner.reset())

    def begin(self, slot, weights, prompt):
        self.compared(lambda side: side.begin(slot, weights, prompt))

    def decode(self, slots):
        self.compared(lambda side: side.decode(slots))

    def load_three(self):
        self.load(0, seed=1, only="self_attn")
        self.load(1, seed=2, r=12)
        self.load(2, seed=3, r=4)

    def begin_all(self):
        for slot, (weights, prompt) in enumerate(zip(WEIGHTS, PROMPTS, strict=True)):
            self.begin(slot, weights, prompt)

    @property
    def counts(self):
        return self.recorder.recorded, self.recorder.repeated, self.recorder.forgotten


@pytest.fixture
def both(folder):
    return Both(folder)


def test_shapes_are_padded_to_the_next_that_is_recorded():
    rows = [pad(count, least=1, factor=2, most=12) for count in range(1, 13)]
    assert rows == [1, 2, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]
    assert [pad(count, least=256, factor=2, most=1000) for count in (1, 256, 257, 600)] == [256, 256, 512, 1000]
    assert [pad(count, least=4, factor=4, most=8) for count in (1, 4, 5, 8)] == [4, 4, 8, 8]
    assert pad(1, least=4, factor=4, most=2) == 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_personas_blends_and_strengths_decode_as_eagerly_in_any_company(architecture, tmp_path):
    both = Both(make_tiny_model(architecture, tmp_path / "base"))
    both.load_three()
    both.begin_all()
    texts = both.graphed.texts
    started = {slot: len(text) for slot, text in texts.items()}
    for _ in range(6):
        both.decode(range(SLOTS))
    together = {slot: text[started[slot] :] for slot, text in texts.items()}
    both.begin_all()
    for slots in ([0], [1, 2, 6], [3], [4, 5, 7]):
        for _ in range(6):
            both.decode(slots)
    assert {slot: text[started[slot] :] for slot, text in texts.items()} == together
    assert len({tuple(text) for text in together.values()}) > 4
    recorded, repeated, _ = both.counts
    assert repeated == 3 + 6 * 5
    assert recorded < repeated / 2


def test_a_step_is_recorded_once_for_all_that_fits_into_its_shape(both):
    both.load_three()
    both.begin_all()
    before = both.counts
    for slots in ([0, 1], [4, 2], [1, 0], [2, 6]):
        both.decode(slots)
    assert both.counts[:2] == (before[0] + 2, before[1] + 4)  # slot 6 alone is longer than 32 tokens
    assert set(both.graphed.runner.recordings) == {StepShape(2, 32, 4), StepShape(2, 64, 4)}


def test_a_reply_that_outgrows_its_length_goes_on_in_the_next(both):
    both.begin(5, {}, PROMPTS[0])
    for _ in range(MAX_TOKENS - len(PROMPTS[0]) - 1):
        both.decode([5])
    assert {shape.length for shape in both.graphed.runner.recordings} == {32, 64, 128}


def test_padding_leaves_the_slots_of_others_as_they_are(both):
    both.load_three()
    both.begin_all()

    def slots():
        layers = both.graphed.runner.inner.kv._layers.values()
        # [buffers, slots, ...], without the spare places
        return torch.stack([buffer[:, :, :-1] for layer in layers for buffer in layer])

    for decoding in ([1, 3, 6], [0, 1, 4, 5, 7]):  # padded to four, and to all eight
        before = slots()
        both.decode(decoding)
        changed = {slot for slot in range(SLOTS) if not torch.equal(before[:, slot], slots()[:, slot])}
        assert changed == set(decoding)


def test_an_adapter_that_takes_anothers_place_needs_no_new_recording(both):
    both.load_three()
    both.begin_all()
    both.decode([0, 1])
    both.decode([3])
    before = both.counts
    for seed in (11, 12):
        both.load(0, seed=seed, only="mlp")  # where the one before had nothing
        both.decode([0, 1])
    both.both(lambda side: side.stack.clear(1))
    both.decode([0, 1])
    both.load(1, seed=13)
    both.assign(0, {0: 0.3, 1: -1.0})
    both.decode([0, 1])
    both.decode([3])
    assert both.counts == (before[0], before[1] + 5, before[2])


def test_a_layer_that_had_no_adapter_when_it_was_recorded_gets_one(both):
    both.load(0, seed=1, only="q_proj")
    both.load(1, seed=2)
    both.load(1, seed=3, only="q_proj")
    both.begin(0, {0: 1.0, 1: 1.0}, PROMPTS[0])
    both.decode([0])
    before = both.counts
    both.load(1, seed=4)
    both.decode([0])
    assert both.counts == (before[0], before[1] + 1, before[2])


def test_a_larger_rank_than_any_before_is_recorded_anew(both):
    both.load(0, seed=1, r=8)
    both.begin(0, {0: 1.0}, PROMPTS[0])
    both.decode([0])
    before = both.counts
    both.load(0, seed=2, r=20)
    both.decode([0])
    both.decode([0])
    assert both.counts == (before[0] + 1, before[1] + 2, before[2] + 1)


def test_without_adapters_no_product_with_them_is_recorded(both):
    both.load_three()
    with torch.inference_mode():
        for block in both.graphed.stack._blocks:
            block._b.fill_(float("nan"))  # any product with it would show
    both.begin(3, {}, PROMPTS[3])
    both.decode([3])


def test_a_prompt_beside_decoding_replies_is_read_eagerly(both):
    both.load_three()
    both.begin_all()
    before = both.counts
    both.both(lambda side: side.texts.update({7: list(PROMPTS[2])}))
    prompt = SlotTokens(7, 0, len(PROMPTS[2])), PROMPTS[2]
    both.compared(lambda side: side.step([side.next_part(0), side.next_part(1), prompt]))
    assert both.counts == before
    both.decode([0, 1, 7])


def test_a_prompt_of_one_token_is_read_in_an_engine_that_has_read_nothing(both):
    both.reset()
    both.begin(0, {}, [5])
    both.decode([0])


def test_slots_that_are_copied_cleared_and_used_again_decode_right(both):
    both.load_three()
    both.begin_all()
    both.decode(range(SLOTS))
    both.assign(0, WEIGHTS[5])
    both.both(lambda side: side.runner.copy(5, 0, 20))
    both.both(lambda side: side.texts.update({0: side.texts[5][:21]}))
    both.both(lambda side: side.runner.clear(6))
    both.begin(6, {2: 1.0}, PROMPTS[1])
    for _ in range(3):
        both.decode([0, 5, 6])


def test_after_a_crash_everything_is_recorded_anew(both):
    both.load_three()
    both.begin_all()
    both.decode(range(SLOTS))
    both.recorder.error = RuntimeError("the device is lost")
    with pytest.raises(RuntimeError, match="lost"):
        both.graphed.decode(range(SLOTS))
    before = both.counts
    both.reset()
    both.begin_all()
    both.decode(range(SLOTS))
    assert both.counts == (before[0] + 1, before[1] + 1, before[2] + 1)


def test_a_step_that_cannot_be_recorded_runs_eagerly_for_good(both, caplog):
    both.load_three()
    both.begin_all()
    both.decode(range(SLOTS))
    both.recorder.error = torch.OutOfMemoryError("no room")
    before = both.counts
    for slots in ([0], [0, 1], [0, 1, 2], range(SLOTS)):
        both.decode(slots)
    assert both.counts == (*before[:2], before[2] + 1)
    assert [record.message for record in caplog.records if record.name == decode_graphs.__name__] == [
        "Decode steps run without graphs from now on (OutOfMemoryError: no room)."
    ]


def test_there_are_never_more_recordings_than_allowed(both, monkeypatch):
    monkeypatch.setattr(decode_graphs, "MAX_RECORDINGS", 2)
    both.begin_all()
    for slots in ([0], [0, 1], [0, 1, 2], range(SLOTS), [0]):
        both.decode(slots)
    assert len(both.graphed.runner.recordings) == 2


def test_recordings_that_compute_something_else_are_not_used(folder, caplog):
    class Wrong(TapeRecorder):
        def record(self, step):
            repeat = super().record(step)
            return lambda: repeat().flip(-1)

    recorder = Wrong()
    side = Side(folder, recorder)
    assert isinstance(side.runner, FusedRunner)
    assert recorder.recorded == recorder.forgotten == 1
    assert "decodes without graphs (recorded, its logits differ" in caplog.text


def test_rotations_that_depend_on_the_length_are_not_recorded(caplog):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96, "num_hidden_layers": 1}
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    model = AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=300, **sizes, rope_parameters=rope)).eval()
    stack = AdapterStack(model, rows=1, slots=2, dtype=torch.float32)
    runner = make_runner(model, stack, slots=2, max_tokens=64, recorder=TapeRecorder())
    assert isinstance(runner, FusedRunner)
    assert "the rotation of a token depends" in caplog.text


def test_what_was_recorded_goes_with_the_model(folder):
    recorder = TapeRecorder()
    side = Side(folder, recorder)
    side.runner.give_back()
    assert not side.runner.recordings
    assert recorder.forgotten == 1


def drawn_requests(refs, prefix):
    penalties = {"repetition_penalty": 1.3, "presence_penalty": 0.5}
    return [
        *mixed_requests(refs, prefix),
        request(f"{prefix}drawn", adapters={refs[3]: 1.0}, temperature=1.0, seed=7, max_new_tokens=40),
        request(f"{prefix}penalised", adapters={refs[4]: 1.0}, temperature=1.0, seed=8, max_new_tokens=40, **penalties),
    ]


async def test_an_engine_writes_the_same_replies_with_graphs_even_through_a_crash(folder, refs, monkeypatch, caplog):
    options = {"slots": 6, "adapter_slots": 4, "prefill_chunk_tokens": 24}
    async with running_engine(folder, **options) as engine:
        expected = [text for text, _ in await collect_all(engine, drawn_requests(refs, "eager "))]
    recorder = TapeRecorder()
    monkeypatch.setattr(transformers_engine, "recorder_for", lambda device: recorder)
    async with running_engine(folder, **options) as engine:
        replies = await collect_all(engine, drawn_requests(refs, "graphed "))
        assert [text for text, _ in replies] == expected
        assert recorder.repeated > recorder.recorded
        assert engine.stats().restarts == 0
        steps = recorder.repeated
        engine._parts.loop.call(lambda: setattr(recorder, "repeat_error", RuntimeError("broken")))
        replies = await collect_all(engine, drawn_requests(refs, "crashing "))
        assert [text for text, _ in replies] == expected
        assert engine.stats().restarts == 1
        assert recorder.repeated > steps
        assert recorder.forgotten > 0
    assert "A step of the engine failed." in [
        record.message for record in caplog.records if record.levelno >= logging.ERROR
    ]
