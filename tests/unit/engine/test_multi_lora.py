from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from core.engine.adapter_files import AdapterWeights, LoraPair
from core.engine.multi_lora import AdapterStack, find_targets
from core.generation import AdapterRef

LAYER = "model.layers.0.self_attn"


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=20, num_hidden_layers=1, **sizes))


def adapter(name, targets, *, r=4, scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = {
        module: LoraPair(
            torch.randn(r, inputs, generator=generator), torch.randn(outputs, r, generator=generator), scale
        )
        for module, (inputs, outputs) in targets.items()
    }
    return AdapterWeights(AdapterRef(f"{name}@1", name), pairs)


def attention_targets(model):
    return {name: shape for name, shape in find_targets(model).items() if "self_attn" in name}


def update(adapter, module, x):
    pair = adapter.pairs[module]
    return pair.scale * x @ pair.a.T @ pair.b.T


@torch.inference_mode()
def run(model, stack, module, x, slots):
    """`slots` names the slot of every token; equal neighbours are one part of the step."""
    parts = [(slot, len(list(group))) for slot, group in itertools.groupby(slots)]
    stack.activate(parts, torch.tensor(slots))
    return model.get_submodule(module)(x)


def test_every_token_gets_its_own_mix_of_rows(model):
    stack = AdapterStack(model, rows=4, slots=3, dtype=torch.float32)
    base = model.get_submodule(f"{LAYER}.q_proj")
    a, b = (adapter(name, attention_targets(model), seed=i) for i, name in enumerate("ab"))
    stack.load(1, a)
    stack.load(3, b)
    stack.assign(0, {1: 1.0})
    stack.assign(1, {1: 0.7, 3: 0.5})
    stack.assign(2, {})
    x = torch.randn(1, 5, 16)
    slots = [0, 1, 1, 2, 0]
    shares = torch.tensor([[1.0, 0.0], [0.7, 0.5], [0.7, 0.5], [0.0, 0.0], [1.0, 0.0]])
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        module = f"{LAYER}.{name}"
        expected = getattr(model.model.layers[0].self_attn, name).base(x)
        for share, each in zip(shares.T, (a, b), strict=True):
            expected = expected + share[:, None] * update(each, module, x)
        torch.testing.assert_close(run(model, stack, module, x, slots), expected)
    assert model.get_submodule(f"{LAYER}.q_proj").base is base


def test_many_adapters_in_one_batch_are_each_right(model):
    stack = AdapterStack(model, rows=24, slots=24, dtype=torch.float32)
    adapters = [adapter(f"{row}", attention_targets(model), seed=row) for row in range(24)]
    for row, each in enumerate(adapters):
        stack.load(row, each)
        stack.assign(row, {row: 0.5, 23 - row: 1.0} if row % 5 == 0 else {row: 1.0})
    x = torch.randn(1, 24, 16)
    module = f"{LAYER}.q_proj"
    expected = model.get_submodule(module).base(x)
    for row, each in enumerate(adapters):
        shares = ((each, 0.5), (adapters[23 - row], 1.0)) if row % 5 == 0 else ((each, 1.0),)
        expected[0, row] += sum(share * update(one, module, x[0, row]) for one, share in shares)
    torch.testing.assert_close(run(model, stack, module, x, list(range(24))), expected, rtol=1e-4, atol=1e-4)


def test_modules_that_share_an_input_are_right_in_any_order_of_calls(model):
    stack = AdapterStack(model, rows=2, slots=1, dtype=torch.float32)
    a = adapter("a", attention_targets(model))
    stack.load(0, a)
    stack.assign(0, {0: 1.0})
    inputs = [torch.randn(1, 3, 16) for _ in range(3)]
    for name, x in zip(("v_proj", "q_proj", "k_proj", "q_proj", "q_proj"), [*inputs, *inputs], strict=False):
        layer = model.get_submodule(f"{LAYER}.{name}")
        expected = layer.base(x) + update(a, f"{LAYER}.{name}", x)
        torch.testing.assert_close(run(model, stack, f"{LAYER}.{name}", x, [0, 0, 0]), expected)


def test_different_ranks_and_targets_live_in_one_stack(model):
    stack = AdapterStack(model, rows=3, slots=3, dtype=torch.float32)
    targets = find_targets(model)
    small = adapter("small", {f"{LAYER}.v_proj": targets[f"{LAYER}.v_proj"]}, r=2, seed=1)
    large = adapter("large", targets, r=20, seed=2)
    stack.load(0, small)
    stack.load(1, large)  # the stack grows after the first adapter is in
    for slot, weights in enumerate(({0: 1.0}, {1: 0.3}, {0: 1.0, 1: -1.0})):
        stack.assign(slot, weights)
    for module, (inputs, _) in targets.items():
        x = torch.randn(1, 3, inputs)
        base = model.get_submodule(module).base(x)
        by_small = update(small, module, x) if module in small.pairs else torch.zeros_like(base)
        by_large = update(large, module, x)
        expected = base + torch.stack([by_small[0, 0], 0.3 * by_large[0, 1], by_small[0, 2] - by_large[0, 2]])
        torch.testing.assert_close(run(model, stack, module, x, [0, 1, 2]), expected, rtol=1e-4, atol=1e-4)


def test_an_untargeted_layer_is_left_alone(model):
    stack = AdapterStack(model, rows=1, slots=1, dtype=torch.float32)
    stack.load(0, adapter("a", attention_targets(model)))
    assert isinstance(model.model.layers[0].mlp.up_proj, nn.Linear)


def test_a_row_that_is_written_over_holds_nothing_of_the_old_adapter(model):
    stack = AdapterStack(model, rows=1, slots=1, dtype=torch.float32)
    stack.load(0, adapter("old", find_targets(model), r=8, seed=1))
    new = adapter("new", {f"{LAYER}.q_proj": (16, 16)}, r=2, seed=2)
    stack.load(0, new)
    stack.assign(0, {0: 1.0})
    for module, (inputs, _) in find_targets_of_bases(model).items():
        x = torch.randn(1, 1, inputs)
        expected = model.get_submodule(module).base(x)
        if module in new.pairs:
            expected = expected + update(new, module, x)
        torch.testing.assert_close(run(model, stack, module, x, [0]), expected)


def find_targets_of_bases(model):
    """Targets of a model whose layers are all wrapped."""
    return {name.removesuffix(".base"): shape for name, shape in find_targets(model).items() if name.endswith(".base")}


def test_no_product_is_computed_when_nobody_uses_an_adapter(model):
    stack = AdapterStack(model, rows=2, slots=2, dtype=torch.float32)
    stack.load(0, adapter("a", attention_targets(model)))
    layer = model.get_submodule(f"{LAYER}.q_proj")
    with torch.inference_mode():
        layer.stacked.fill_(float("nan"))  # any product with it would show
    stack.assign(0, {})
    stack.assign(1, {0: 1.0})
    x = torch.randn(1, 2, 16)
    assert torch.equal(run(model, stack, f"{LAYER}.q_proj", x, [0, 0]), layer.base(x))
    assert run(model, stack, f"{LAYER}.q_proj", x, [0, 1]).isnan().any()


def test_the_output_head_and_embeddings_are_no_targets(model):
    names = set(find_targets(model))
    assert "lm_head" not in names
    assert f"{LAYER}.q_proj" in names
    assert not any("embed" in name or "norm" in name for name in names)


def test_a_wrapped_layer_still_shows_its_weight(model):
    stack = AdapterStack(model, rows=1, slots=1, dtype=torch.float32)
    weight = model.get_submodule(f"{LAYER}.q_proj").weight
    stack.load(0, adapter("a", attention_targets(model)))
    assert model.get_submodule(f"{LAYER}.q_proj").weight is weight
