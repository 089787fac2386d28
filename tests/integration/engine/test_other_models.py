"""Models beyond the five main architectures: what runs in slots, what falls back, and that both are right."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    Gemma2Config,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MambaConfig,
    Phi3Config,
)

from core.engine.adapter_files import AdapterReader
from core.engine.fused_llama import FusedRunner
from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import PackedRunner, SingleRunner, make_runner
from core.engine.multi_lora import AdapterStack
from core.engine.packed_linear import unpack_linears
from core.engine.tuned_runner import tune_threads
from tests.models.tiny_models import make_adapter

PROMPT = [(13 * i) % 290 + 3 for i in range(14)]
SIZES = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2}
ATTENTION = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}


def random_model(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def logits_at_the_end(runner):
    """Of the prompt, prefilled and then decoded."""
    slot = runner.slots - 1
    runner.forward([(SlotTokens(slot, 0, 10), PROMPT[:10])], [0])
    for position in range(10, len(PROMPT)):
        logits = runner.forward([(SlotTokens(slot, position, 1), PROMPT[position : position + 1])], [0])
    return logits[0]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (FalconConfig(**SIZES, num_attention_heads=4), "attention interface"),
        (MambaConfig(**SIZES, state_size=8), "attention interface"),  # offers no cache this way: recomputed
        (GptOssConfig(**SIZES, **ATTENTION, intermediate_size=32, num_local_experts=4), "more than a causal"),
    ],
    ids=["falcon", "mamba", "gpt-oss"],
)
def test_a_model_that_cannot_run_in_slots_is_right_one_at_a_time(config, reason, caplog):
    model = random_model(config)
    with torch.no_grad():
        expected = model(torch.tensor([PROMPT]), use_cache=False).logits[0, -1]
    stack = AdapterStack(model, rows=1, slots=4, dtype=torch.float32)
    runner = make_runner(model, stack, slots=4, max_tokens=64)
    assert isinstance(runner, SingleRunner)
    assert reason in caplog.text
    torch.testing.assert_close(logits_at_the_end(runner), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits_at_the_end(runner), expected, rtol=1e-4, atol=1e-4)  # starts clean again


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES, **ATTENTION, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
        Phi3Config(
            **{**SIZES, "intermediate_size": 96},
            num_attention_heads=4,
            num_key_value_heads=1,
            pad_token_id=0,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5},
        ),
        Gemma2Config(**SIZES, **ATTENTION, final_logit_softcapping=2.0, attn_logit_softcapping=1.0),
    ],
    ids=["biases and a tied head", "half of a head is rotated", "soft caps"],
)
def test_what_differs_within_the_llama_family_is_fused_right(config):
    model = random_model(config)
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(len(name)))
    with torch.no_grad():
        expected = model(torch.tensor([PROMPT]), use_cache=False).logits[0, -1]
    runner = make_runner(model, AdapterStack(model, rows=1, slots=4, dtype=torch.float32), slots=4, max_tokens=64)
    assert isinstance(runner, FusedRunner)
    torch.testing.assert_close(logits_at_the_end(runner), expected, rtol=1e-4, atol=1e-4)


def test_a_llama_that_computes_something_of_its_own_keeps_its_own_layers(caplog):
    model = random_model(LlamaConfig(**SIZES, **ATTENTION, intermediate_size=96))
    model.model.layers[0].register_forward_hook(lambda module, inputs, output: output * 1.5)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    with torch.no_grad():
        expected = model(torch.tensor([PROMPT]), use_cache=False).logits[0, -1]
    stack = AdapterStack(model, rows=1, slots=4, dtype=torch.float32)
    with caplog.at_level(logging.INFO):
        runner = make_runner(model, stack, slots=4, max_tokens=64)
    assert isinstance(runner, PackedRunner)
    assert "keeps transformers' layers (fused, its logits differ" in caplog.text
    unpack_linears(model)
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    torch.testing.assert_close(logits_at_the_end(runner), expected, rtol=1e-4, atol=1e-4)


def test_steps_that_try_numbers_of_threads_give_the_same_logits(monkeypatch):
    model = random_model(LlamaConfig(**SIZES, **ATTENTION, intermediate_size=96))
    runner = make_runner(model, AdapterStack(model, rows=1, slots=4, dtype=torch.float32), slots=4, max_tokens=64)
    expected = logits_at_the_end(runner)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert tune_threads(runner, model.device) is runner
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
        tuned, used = tune_threads(runner, model.device), set()
        model.lm_head.register_forward_hook(lambda *_: used.add(torch.get_num_threads()))
        for _ in range(5):
            torch.testing.assert_close(logits_at_the_end(tuned), expected, rtol=1e-4, atol=1e-4)
        assert used == {1, 2}
    finally:
        torch.set_num_threads(before)


def test_adapters_on_layers_with_transposed_weights_equal_peft(tmp_path):
    random_model(GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=4)).save_pretrained(tmp_path / "base")
    adapter = make_adapter(
        tmp_path / "base", tmp_path / "a", seed=1, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True
    )
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    stack = AdapterStack(model, rows=2, slots=4, dtype=torch.float32)
    runner = make_runner(model, stack, slots=4, max_tokens=64)
    assert isinstance(runner, PackedRunner)
    stack.load(1, AdapterReader((tmp_path,), stack.targets, 64).read(adapter, tmp_path / "a"))
    stack.assign(3, {1: 1.0})
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        peft_model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "a"
        ).eval()
        expected = peft_model(torch.tensor([PROMPT])).logits[0, -1]
    torch.testing.assert_close(logits_at_the_end(runner), expected, rtol=1e-4, atol=1e-4)
