from __future__ import annotations

import pytest
from transformers import AutoModelForCausalLM, Gemma3TextConfig, GenerationConfig, LlamaConfig

from core.engine.model_facts import context_limit, default_sampling, stop_tokens
from core.generation import SamplingParams
from tests.models.tiny_models import make_tokenizer

SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "max_position_embeddings": 128,
}


def model(config_class=LlamaConfig, **changes):
    return AutoModelForCausalLM.from_config(config_class(**{**SIZES, **changes}))


def test_the_context_is_what_was_asked_for_within_the_models_own():
    assert context_limit(model(), 64) == 64
    assert context_limit(model(), 1000) == 128
    assert context_limit(model(Gemma3TextConfig), 1000) == 128


@pytest.mark.parametrize("rope_type", ["longrope", "dynamic"])
def test_positions_whose_encoding_depends_on_the_neighbours_are_not_used(rope_type):
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4} if rope_type == "longrope" else {}
    rope = {"rope_type": rope_type, "factor": 4.0, "original_max_position_embeddings": 32, **factors}
    each = model(rope_parameters={"rope_theta": 10_000.0, **rope})
    each.config.rope_parameters["original_max_position_embeddings"] = 32  # some configs set their own
    assert context_limit(each, 1000) == 32


def test_a_fixed_rope_scaling_keeps_its_whole_length():
    parameters = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0, "original_max_position_embeddings": 32}
    assert context_limit(model(rope_parameters=parameters), 1000) == 128


@pytest.mark.parametrize(("configured", "expected"), [(5, {5}), ([5, 6], {5, 6}), (None, set())])
def test_a_reply_ends_on_the_generation_configs_and_the_tokenizers_tokens(configured, expected):
    tokenizer = make_tokenizer()
    each = model()
    each.generation_config.eos_token_id = configured
    assert stop_tokens(each, tokenizer) == expected | {tokenizer.eos_token_id}


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ({}, SamplingParams()),
        ({"do_sample": False}, SamplingParams(temperature=0)),
        ({"do_sample": True}, SamplingParams(temperature=1.0)),
        (
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1},
            SamplingParams(temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.1),
        ),
    ],
)
def test_the_generation_config_gives_the_sampling_defaults(configured, expected):
    each = model()
    each.generation_config = GenerationConfig(**configured)
    assert default_sampling(each) == expected
