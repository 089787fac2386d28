from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from core.engine.packed_linear import PackedLinear, can_pack, is_faster_packed, pack_linears, unpack_linears

DTYPES = [
    pytest.param(
        dtype, marks=pytest.mark.skipif(not can_pack(dtype), reason=f"this processor or torch cannot pack {dtype}")
    )
    for dtype in (torch.float32, torch.bfloat16)
]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
needs_packing = pytest.mark.skipif(not can_pack(), reason="this processor or torch cannot pack weights")


def pack_all(model, **options):
    pack_linears(model, is_worth_it=lambda weight: True, **options)


def make_linears(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(96, 160), nn.Linear(160, 40, bias=False)).to(dtype)


def make_llama(*, is_tied):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=20, num_hidden_layers=1, tie_word_embeddings=is_tied, **sizes)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(96,), (1, 96), (3, 96), (1, 8, 96), (2, 150, 96)])
@torch.inference_mode()
def test_packed_layers_compute_what_plain_ones_do(shape, dtype):
    x = torch.randn(shape, dtype=dtype)
    model = make_linears(dtype)
    expected = model(x)
    pack_all(model)
    assert all(isinstance(layer, PackedLinear) for layer in model)
    torch.testing.assert_close(model(x), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@needs_packing
@torch.inference_mode()
def test_a_token_is_the_same_alone_and_in_any_batch_but_for_rounding():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(576, 4000, bias=False))
    pack_all(model)
    x = torch.randn(1, 16, 576)
    together = model(x)
    for count in (1, 2, 3, 5, 8):
        apart = torch.cat([model(part) for part in x.split(count, dim=1)], dim=1)
        # Which kernel oneDNN takes for a batch is each processor's own; on AVX2 alone they were seen to round alike.
        torch.testing.assert_close(apart, together, rtol=1e-5, atol=1e-5)


@needs_packing
@torch.inference_mode()
def test_a_view_of_a_larger_tensor_is_multiplied_right():
    x = torch.randn(6, 200)[::2, 50:146]
    model = make_linears()
    expected = model(x)
    pack_all(model)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_packed_weight_still_tells_shape_dtype_and_device(dtype):
    model = make_linears(dtype)
    pack_all(model)
    weight = model[0].weight
    assert (weight.shape, weight.dtype, weight.device) == ((160, 96), dtype, torch.device("cpu"))
    assert not weight.requires_grad


@pytest.mark.parametrize("dtype", DTYPES)
def test_unpacking_brings_every_number_back(dtype):
    model = make_linears(dtype)
    weights = [layer.weight.detach().clone() for layer in model]
    pack_all(model)
    unpack_linears(model)
    assert [type(layer) for layer in model] == [nn.Linear, nn.Linear]
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(model, weights, strict=True))


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


@needs_packing
@torch.inference_mode()
def test_a_tied_head_is_packed_as_a_copy_and_the_embedding_stays_as_it_is():
    model, ids = make_llama(is_tied=True), torch.tensor([[3, 1, 4, 1, 5]])
    expected, embedded = model(ids).logits, model.model.embed_tokens.weight.clone()
    pack_all(model)
    assert isinstance(model.lm_head, PackedLinear)
    assert type(model.model.embed_tokens.weight) is nn.Parameter
    assert torch.equal(model.model.embed_tokens.weight, embedded)
    assert model.model.embed_tokens.weight.layout == torch.strided
    torch.testing.assert_close(model(ids).logits, expected, rtol=1e-5, atol=1e-5)


@needs_packing
@pytest.mark.parametrize("is_tied", [True, False])
def test_unpacking_restores_a_tie_and_makes_none(is_tied):
    model = make_llama(is_tied=is_tied)
    names = [name for name, _ in model.named_parameters()]
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight.detach().clone()
    pack_all(model)
    unpack_linears(model)
    assert type(model.lm_head) is nn.Linear
    assert not hasattr(model.lm_head, "shared")
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is is_tied
    assert model.model.embed_tokens.weight is embedding
    assert torch.equal(model.lm_head.weight, head)
    assert [name for name, _ in model.named_parameters()] == names


@needs_packing
def test_a_tied_head_stays_tied_where_memory_is_short_and_the_log_says_so(caplog):
    model = make_llama(is_tied=True)
    with caplog.at_level(logging.WARNING):
        pack_all(model, free=lambda: 2 * model.lm_head.weight.nbytes - 1)
    assert type(model.lm_head) is nn.Linear
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert isinstance(model.model.layers[0].mlp.up_proj, PackedLinear)
    assert "lm_head is not packed" in caplog.text


@needs_packing
def test_an_untied_head_needs_no_memory_to_be_packed():
    model = make_llama(is_tied=False)
    pack_all(model, free=lambda: 0)
    assert isinstance(model.lm_head, PackedLinear)
