"""The stacked adapters in slots against PEFT itself: the same weights must give the same logits."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

from core.engine.adapter_files import AdapterReader
from core.engine.fused_llama import FusedRunner
from core.engine.half_weights import can_halve
from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import PackedRunner, SingleRunner, make_runner
from core.engine.multi_lora import AdapterStack
from core.engine.packed_linear import HalfLinear, PackedLinear, can_pack, pack_linears
from tests.models.tiny_models import ARCHITECTURES, SLIDING_WINDOW, make_adapter, make_tiny_model

# Row of weights per slot: blends, three personas, the base model, a half-strength and an over-strength one. Blends
# come first, because PEFT keeps the scale that is set for the strengths.
ROWS = (
    {"a": 0.7, "b": 0.3},
    {"a": 0.2, "b": 0.9, "c": 0.4},
    {"a": 1.0},
    {"b": 1.0},
    {"c": 1.0},
    {},
    {"b": 0.5},
    {"c": 1.5},
)
PROMPTS = [[(13 * i + 7 * slot) % 290 + 3 for i in range(SLIDING_WINDOW + 5 + 4 * slot)] for slot in range(len(ROWS))]
DECODED = 3  # tokens at the end of each prompt that are processed one by one, all slots together


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request, tmp_path_factory):
    """A tiny model folder and three adapters: attention only, all-linear, and another rank with rslora."""
    root = tmp_path_factory.mktemp(request.param)
    folder = make_tiny_model(request.param, root / "base")
    adapters = {
        "a": make_adapter(folder, root / "a", seed=1, r=8),
        "b": make_adapter(folder, root / "b", seed=2, r=16, target_modules="all-linear"),
        "c": make_adapter(folder, root / "c", seed=3, r=4, lora_alpha=4, target_modules="all-linear", use_rslora=True),
    }
    return folder, adapters


@pytest.fixture(scope="module")
def expected(case):
    return peft_logits(*case)


def load_model(folder):
    """Its weights are such that fp16 holds them, as it does those of most models."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()
    return model


def make_fused(model, stack):
    runner = make_runner(model, stack, slots=len(ROWS), max_tokens=128)
    assert isinstance(runner, FusedRunner)
    return runner


def make_generic(model, stack):
    return PackedRunner(model, stack, slots=len(ROWS), max_tokens=128)


def fused_as(kind):
    def make(model, stack):
        runner = make_fused(model, stack)
        pack_linears(runner.linears, choose=lambda weight: kind)
        assert {type(each) for each in runner.linears["layers"]} == {kind}
        return runner

    return make


def generic_as(kind):
    def make(model, stack):
        pack_linears(model, choose=lambda weight: kind)
        return make_generic(model, stack)

    return make


def slotted_logits(folder, adapters, make):
    """[slots, vocab] at the end of every prompt: prefilled in uneven parts, then decoded together."""
    model = load_model(folder)
    stack = AdapterStack(model, rows=4, slots=len(ROWS), dtype=torch.float32)
    runner = make(model, stack)
    reader = AdapterReader((folder.parent,), stack.targets, 64)
    rows = {name: row for row, name in enumerate(adapters)}
    for name, ref in adapters.items():
        stack.load(rows[name], reader.read(ref, folder.parent / name))
    for slot, weights in enumerate(ROWS):
        stack.assign(slot, {rows[name]: weight for name, weight in weights.items()})
    prefilled = [len(prompt) - DECODED for prompt in PROMPTS]
    halves = [length // 2 + slot for slot, length in enumerate(prefilled)]
    logits = torch.empty(0)
    for begins, ends in [([0] * len(ROWS), halves), (halves, prefilled)]:
        runner.forward(parts_between(begins, ends), [0])
    for step in range(DECODED):
        begins = [length + step for length in prefilled]
        logits = runner.forward(parts_between(begins, [begin + 1 for begin in begins]), range(len(ROWS)))
    return logits


def parts_between(begins, ends):
    spans = zip(PROMPTS, begins, ends, strict=True)
    return [(SlotTokens(slot, b, e - b), prompt[b:e]) for slot, (prompt, b, e) in enumerate(spans)]


def peft_logits(folder, adapters):
    """[slots, vocab] from PEFT: set_adapter and set_scale for one adapter, add_weighted_adapter for a blend."""
    names = iter(adapters)
    first = next(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(load_model(folder), folder.parent / first, adapter_name=first)
        for name in names:
            model.load_adapter(folder.parent / name, adapter_name=name)
    model.eval()
    return torch.stack([peft_row(model, prompt, weights) for prompt, weights in zip(PROMPTS, ROWS, strict=True)])


@torch.no_grad()
def peft_row(model, prompt, weights):
    ids = torch.tensor([prompt])
    if not weights:
        with model.disable_adapter():
            return model(ids).logits[0, -1]
    if len(weights) > 1:
        name = "+".join(weights)
        model.add_weighted_adapter(list(weights), list(weights.values()), name, combination_type="cat")
        model.set_adapter(name)
        return model(ids).logits[0, -1]
    ((name, weight),) = weights.items()
    model.set_adapter(name)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.set_scale(name, weight)
    return model(ids).logits[0, -1]


needs_packing = pytest.mark.skipif(not can_pack(), reason="this processor or torch cannot pack weights")
needs_half = pytest.mark.skipif(not can_halve(), reason="this processor or torch does not multiply with fp16 weights")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make_fused, id="fused"),
        pytest.param(make_generic, id="generic"),
        pytest.param(fused_as(PackedLinear), id="fused, packed", marks=needs_packing),
        pytest.param(generic_as(PackedLinear), id="generic, packed", marks=needs_packing),
        pytest.param(fused_as(HalfLinear), id="fused, in half", marks=needs_half),
        pytest.param(generic_as(HalfLinear), id="generic, in half", marks=needs_half),
    ],
)
def test_personas_blends_and_strengths_in_one_batch_equal_peft(case, expected, make):
    assert expected.std() > 0.5  # otherwise closeness would mean nothing
    assert not torch.allclose(expected[0], expected[2], atol=0.1)
    torch.testing.assert_close(slotted_logits(*case, make), expected, rtol=1e-4, atol=1e-4)


def test_the_single_runner_equals_peft_too(case, expected):
    folder, adapters = case
    model = load_model(folder)
    stack = AdapterStack(model, rows=2, slots=1, dtype=torch.float32)
    runner = SingleRunner(model, stack)
    reader = AdapterReader((folder.parent,), stack.targets, 64)
    for row, name in enumerate("ab"):
        stack.load(row, reader.read(adapters[name], folder.parent / name))
    stack.assign(0, {0: 0.7, 1: 0.3})
    prompt = PROMPTS[0]
    runner.forward([(SlotTokens(0, 0, len(prompt) - 1), prompt[:-1])], [0])
    logits = runner.forward([(SlotTokens(0, len(prompt) - 1, 1), prompt[-1:])], [0])
    torch.testing.assert_close(logits[0], expected[0], rtol=1e-4, atol=1e-4)
