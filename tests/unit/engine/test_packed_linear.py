from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from core.engine.packed_linear import PackedLinear, can_pack, pack_linears, unpack_linears

pytestmark = pytest.mark.skipif(not can_pack(), reason="this processor or torch cannot pack weights")


def make_linears(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(96, 160), nn.Linear(160, 40, bias=False)).to(dtype)


@pytest.mark.parametrize("shape", [(96,), (1, 96), (3, 96), (1, 8, 96), (2, 150, 96)])
@torch.inference_mode()
def test_packed_layers_compute_what_plain_ones_do(shape):
    x = torch.randn(shape)
    model = make_linears()
    expected = model(x)
    pack_linears(model, min_elements=1)
    assert all(isinstance(layer, PackedLinear) for layer in model)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_view_of_a_larger_tensor_is_multiplied_right():
    x = torch.randn(6, 200)[::2, 50:146]
    model = make_linears()
    expected = model(x)
    pack_linears(model, min_elements=1)
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


def test_a_packed_weight_still_tells_shape_dtype_and_device():
    model = make_linears()
    pack_linears(model, min_elements=1)
    weight = model[0].weight
    assert (weight.shape, weight.dtype, weight.device) == ((160, 96), torch.float32, torch.device("cpu"))
    assert not weight.requires_grad


def test_unpacking_brings_every_number_back():
    model = make_linears()
    weights = [layer.weight.detach().clone() for layer in model]
    pack_linears(model, min_elements=1)
    unpack_linears(model)
    assert [type(layer) for layer in model] == [nn.Linear, nn.Linear]
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(model, weights, strict=True))


def test_small_weights_other_dtypes_and_subclasses_stay_as_they_are():
    small, in_bf16 = make_linears(), make_linears(torch.bfloat16)
    subclass = nn.Sequential(nn.modules.linear.NonDynamicallyQuantizableLinear(64, 64))
    pack_linears(small, min_elements=160 * 96)
    assert [type(layer) for layer in small] == [PackedLinear, nn.Linear]
    for model in (in_bf16, subclass):
        before = [type(layer) for layer in model]
        pack_linears(model, min_elements=1)
        assert [type(layer) for layer in model] == before


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_head_that_shares_its_weight_with_the_embeddings_stays_plain(is_tied):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=20, num_hidden_layers=1, tie_word_embeddings=is_tied, **sizes)
    model = AutoModelForCausalLM.from_config(config)
    pack_linears(model, min_elements=1)
    assert isinstance(model.lm_head, PackedLinear) is not is_tied
    assert isinstance(model.model.layers[0].mlp.up_proj, PackedLinear)
