from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel

from core.errors import InvalidSetting
from training.lora import target_modules

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "pad_token_id": 0,
}
QKVO = {"q_proj", "k_proj", "v_proj", "o_proj"}
GATED = {"gate_proj", "up_proj", "down_proj"}


def _model(kind: str) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES))


def _matched(model: torch.nn.Module, targets: list[str]) -> set[str]:
    return {
        name
        for name, _ in model.named_modules()
        if any(name == target or name.endswith(f".{target}") for target in targets)
    }


@pytest.mark.parametrize(
    ("kind", "attention", "others"),
    [
        ("llama", QKVO, GATED),
        ("qwen3", QKVO, GATED),
        ("gemma2", QKVO, GATED),
        ("mistral", QKVO, GATED),
        ("phi3", {"qkv_proj", "o_proj"}, {"gate_up_proj", "down_proj"}),
        ("gpt_neox", {"query_key_value", "dense"}, {"dense_h_to_4h", "dense_4h_to_h"}),
        ("falcon", {"query_key_value", "dense"}, {"dense_h_to_4h", "dense_4h_to_h"}),
    ],
)
def test_attention_is_the_projections_and_all_linear_adds_the_rest(
    kind: str, attention: set[str], others: set[str]
) -> None:
    model = _model(kind)
    assert {target.split(".")[-1] for target in target_modules(model, "attention")} == attention
    everything = _matched(model, target_modules(model, "all-linear"))
    assert {name.split(".")[-1] for name in everything} == attention | others


def test_a_name_that_attention_shares_with_another_layer_is_told_apart() -> None:
    model = _model("gpt2")
    targets = target_modules(model, "attention")
    assert targets == ["attn.c_proj", "c_attn"]
    assert not any("mlp" in name for name in _matched(model, targets))


def test_the_output_head_is_never_adapted() -> None:
    model = _model("llama")
    assert "lm_head" not in _matched(model, target_modules(model, "all-linear"))


def test_the_vision_tower_of_a_vision_model_is_never_adapted() -> None:
    text = {"model_type": "llama", **SIZES}
    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = AutoConfig.for_model("llava", text_config=text, vision_config={**vision, "num_attention_heads": 2})
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    for targets in ("attention", "all-linear"):
        matched = _matched(model, target_modules(model, targets))
        assert matched
        assert not any("vision" in name for name in matched)


def test_a_model_without_linear_layers_cannot_be_adapted() -> None:
    with pytest.raises(InvalidSetting, match="has no attention layer"):
        target_modules(torch.nn.Sequential(torch.nn.Embedding(4, 4)), "attention")
