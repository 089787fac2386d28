from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from core.engine import packed_linear
from core.engine.half_weights import can_halve
from core.engine.packed_linear import (
    HalfLinear,
    PackedLinear,
    can_pack,
    choose_packing,
    is_faster_packed,
    pack_linears,
    unpack_linears,
)

needs_packing = pytest.mark.skipif(not can_pack(), reason="this processor or torch cannot pack weights")
needs_half = pytest.mark.skipif(not can_halve(), reason="this processor or torch does not multiply with fp16 weights")
needs_bf16 = pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor or torch cannot pack bf16")
KINDS = [
    pytest.param(PackedLinear, torch.float32, marks=needs_packing, id="fp32"),
    pytest.param(PackedLinear, torch.bfloat16, marks=needs_bf16, id="bf16"),
    pytest.param(HalfLinear, torch.float32, marks=needs_half, id="half"),
]
FP32_KINDS = [pytest.param(PackedLinear, marks=needs_packing), pytest.param(HalfLinear, marks=needs_half)]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def pack_all(model, kind=PackedLinear, **options):
    pack_linears(model, choose=lambda weight: kind if can_pack(weight.dtype) else None, **options)


def make_linears(dtype=torch.float32):
    torch.manual_seed(0)
    return as_published(nn.Sequential(nn.Linear(96, 160), nn.Linear(160, 40, bias=False))).to(dtype)


def as_published(model):
    """With weights that bf16 and fp16 hold, as most models have."""
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().half().to(weight.dtype)
    return model


def make_llama(*, is_tied):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=20, num_hidden_layers=1, tie_word_embeddings=is_tied, **sizes)
    torch.manual_seed(0)
    return as_published(AutoModelForCausalLM.from_config(config, dtype=torch.float32)).eval().requires_grad_(False)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@pytest.mark.parametrize("shape", [(96,), (1, 96), (3, 96), (1, 8, 96), (2, 150, 96), (0, 96)])
@torch.inference_mode()
def test_packed_layers_compute_what_plain_ones_do(shape, kind, dtype):
    x = torch.randn(shape, dtype=dtype)
    model = make_linears(dtype)
    expected = model(x)
    pack_all(model, kind)
    assert all(type(layer) is kind for layer in model)
    torch.testing.assert_close(model(x), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", FP32_KINDS)
@torch.inference_mode()
def test_a_token_is_the_same_alone_and_in_any_batch_but_for_rounding(kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(576, 4000, bias=False))
    pack_all(model, kind)
    x = torch.randn(1, 16, 576)
    together = model(x)
    for count in (1, 2, 3, 5, 8):
        apart = torch.cat([model(part) for part in x.split(count, dim=1)], dim=1)
        # Which kernel a batch gets is each processor's and library's own, and kernels add in orders of their own.
        torch.testing.assert_close(apart, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", FP32_KINDS)
@torch.inference_mode()
def test_a_view_of_a_larger_tensor_is_multiplied_right(kind):
    x = torch.randn(6, 200)[::2, 50:146]
    model = make_linears()
    expected = model(x)
    pack_all(model, kind)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_a_packed_weight_still_tells_shape_dtype_and_device(kind, dtype):
    model = make_linears(dtype)
    pack_all(model, kind)
    weight = model[0].weight
    device = torch.device("meta" if kind is HalfLinear else "cpu")  # where numbers are read, that is an error
    assert (weight.shape, weight.dtype, weight.device) == ((160, 96), dtype, device)
    assert not weight.requires_grad


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_unpacking_brings_every_number_back(kind, dtype):
    model = make_linears(dtype)
    weights = [layer.weight.detach().clone() for layer in model]
    own = [set(vars(layer)) for layer in model]
    pack_all(model, kind)
    unpack_linears(model)
    assert [type(layer) for layer in model] == [nn.Linear, nn.Linear]
    assert [set(vars(layer)) for layer in model] == own
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(model, weights, strict=True))


def test_the_fastest_packing_that_loses_nothing_is_chosen(monkeypatch):
    published, other = torch.randn(640, 320).bfloat16().float(), torch.randn(640, 320)
    monkeypatch.setattr(packed_linear, "is_faster_in_half", lambda weight: torch.equal(weight, weight.half().float()))
    monkeypatch.setattr(packed_linear, "can_pack", lambda dtype: True)
    monkeypatch.setattr(packed_linear, "is_faster_packed", lambda weight: weight.shape[0] == 640)
    assert choose_packing(published) is HalfLinear
    assert choose_packing(other) is PackedLinear
    assert choose_packing(other.T) is None


def test_other_dtypes_and_subclasses_stay_as_they_are():
    subclass = nn.Sequential(nn.modules.linear.NonDynamicallyQuantizableLinear(64, 64))
    for model in (make_linears(torch.float16), subclass):
        before = [type(layer) for layer in model]
        pack_all(model)
        assert [type(layer) for layer in model] == before


@pytest.mark.parametrize(
    ("shape", "dtype", "capability", "pays"),
    [
        ((49152, 576), torch.float32, "AVX2", True),
        ((1536, 576), torch.float32, "AVX2", False),
        ((1536, 576), torch.float32, "AVX512", True),
        ((576, 576), torch.float32, "AVX512", False),
        ((3072, 576), torch.float32, "AVX2", True),
        ((576, 576), torch.bfloat16, "AVX512", True),
        ((576, 64), torch.bfloat16, "AVX512", False),
        ((1600, 100), torch.float32, "AVX2", False),
    ],
)
def test_packing_pays_by_shape_dtype_and_instructions(shape, dtype, capability, pays):
    assert is_faster_packed(torch.empty(shape, dtype=dtype, device="meta"), capability) is pays


@pytest.mark.parametrize("kind", FP32_KINDS)
@torch.inference_mode()
def test_a_tied_head_is_packed_as_a_copy_and_the_embedding_stays_as_it_is(kind):
    model, ids = make_llama(is_tied=True), torch.tensor([[3, 1, 4, 1, 5]])
    expected, embedded = model(ids).logits, model.model.embed_tokens.weight.clone()
    pack_all(model, kind)
    assert type(model.lm_head) is kind
    assert type(model.model.embed_tokens.weight) is nn.Parameter
    assert torch.equal(model.model.embed_tokens.weight, embedded)
    assert model.model.embed_tokens.weight.layout == torch.strided
    torch.testing.assert_close(model(ids).logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", FP32_KINDS)
@pytest.mark.parametrize("is_tied", [True, False])
def test_unpacking_restores_a_tie_and_makes_none(is_tied, kind):
    model = make_llama(is_tied=is_tied)
    names = [name for name, _ in model.named_parameters()]
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight.detach().clone()
    pack_all(model, kind)
    unpack_linears(model)
    assert type(model.lm_head) is nn.Linear
    assert not hasattr(model.lm_head, "shared")
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is is_tied
    assert model.model.embed_tokens.weight is embedding
    assert torch.equal(model.lm_head.weight, head)
    assert [name for name, _ in model.named_parameters()] == names


@pytest.mark.parametrize(
    ("kind", "copies"),
    [pytest.param(PackedLinear, 1.0, marks=needs_packing), pytest.param(HalfLinear, 0.5, marks=needs_half)],
)
def test_a_tied_head_stays_tied_where_memory_is_short_and_the_log_says_so(kind, copies, caplog):
    model = make_llama(is_tied=True)
    needed = 2 * int(copies * model.lm_head.weight.nbytes)
    with caplog.at_level(logging.WARNING):
        pack_all(model, kind, free=lambda: needed - 1)
    assert type(model.lm_head) is nn.Linear
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert isinstance(model.model.layers[0].mlp.up_proj, PackedLinear)
    assert "lm_head is not packed" in caplog.text
    pack_all(model, kind, free=lambda: needed)
    assert type(model.lm_head) is kind


@needs_packing
def test_an_untied_head_needs_no_memory_to_be_packed():
    model = make_llama(is_tied=False)
    pack_all(model, free=lambda: 0)
    assert isinstance(model.lm_head, PackedLinear)
