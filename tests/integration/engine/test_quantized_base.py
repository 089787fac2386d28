"""Adapters on quantised bases: the same layer over bitsandbytes' linear layers, against PEFT over the same base."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft import PeftModel

from core.engine.adapter_files import AdapterReader
from core.engine.kv_slots import SlotTokens
from core.engine.loading import load_base_model
from core.engine.model_runner import PackedRunner, make_runner
from core.engine.multi_lora import AdapterStack
from tests.models.tiny_models import make_adapter, make_tiny_model

PROMPT = [(13 * i) % 290 + 3 for i in range(24)]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    root = tmp_path_factory.mktemp("quantized")
    # bitsandbytes' kernels want round sizes
    folder = make_tiny_model("llama", root / "base", hidden_size=128, intermediate_size=256, head_dim=32)
    return folder, make_adapter(folder, root / "a", seed=1, target_modules="all-linear")


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_quantised_base_serves_adapters_as_peft_does(case, quantization, dtype):
    folder, adapter = case

    def load():
        base = load_base_model(str(folder), device="cpu", dtype=dtype, quantization=quantization)
        if base.quantization.chosen != quantization:
            pytest.skip(base.quantization.reason)
        return base

    base = load()
    stack = AdapterStack(base.model, rows=2, slots=2, dtype=base.dtype)
    runner = make_runner(base.model, stack, slots=2, max_tokens=64)
    assert isinstance(runner, PackedRunner)
    stack.load(1, AdapterReader((folder.parent,), stack.targets, 64).read(adapter, folder.parent / "a"))
    stack.assign(1, {1: 1.0})
    runner.forward([(SlotTokens(1, 0, 20), PROMPT[:20])], [0])
    for position in range(20, 24):
        logits = runner.forward([(SlotTokens(1, position, 1), PROMPT[position : position + 1])], [0])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        peft_model = PeftModel.from_pretrained(load().model, folder.parent / "a").eval()
        expected = peft_model(torch.tensor([PROMPT])).logits[0, -1].float()
    # int8 rounds activations per call, so prefill and decode round differently; NF4 in fp32 is exact.
    is_exact = quantization == "nf4" and dtype == "float32"
    deviation = (logits[0].float() - expected).abs().mean() / expected.std()
    assert deviation < (1e-4 if is_exact else 0.1)
