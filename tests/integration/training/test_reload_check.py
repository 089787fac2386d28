"""A finished adapter is read back and compared: the same weights pass on every processor, other ones on none."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from core.adapters.content_hash import WEIGHTS_FILE
from core.engine.loading import load_base_model
from tests.models.tiny_models import make_tiny_model
from training import adapter_folder
from training.adapter_folder import AdapterNotSaved, check_saved_adapter, save_adapter

INPUT_IDS = torch.arange(3, 35).unsqueeze(0)


@pytest.fixture(params=["none", "int8"])
def model(request: pytest.FixtureRequest, tmp_path) -> PeftModel:
    """An adapter in bf16, as it is trained on a quantised base, with weights that matter."""
    base = load_base_model(str(make_tiny_model("llama", tmp_path / "base")), device="cpu", quantization=request.param)
    torch.manual_seed(0)
    model = get_peft_model(base.model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter.data).mul_(0.3).to(torch.bfloat16)
    return model


def test_a_saved_adapter_answers_as_the_one_in_memory_to_the_last_bit(model, tmp_path, monkeypatch):
    save_adapter(model, tmp_path / "adapter", "tiny")
    monkeypatch.setattr(adapter_folder, "TOLERANCE", 0.0)
    check_saved_adapter(model, tmp_path / "adapter", INPUT_IDS)
    assert not any(adapter_folder.RELOADED in name for name, _ in model.named_parameters())


def test_a_file_that_lost_one_matrix_is_another_adapter(model, tmp_path):
    save_adapter(model, tmp_path / "adapter", "tiny")
    path = tmp_path / "adapter" / WEIGHTS_FILE
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_B" in name)
    save_file({**tensors, name: torch.zeros_like(tensors[name])}, path)
    with pytest.raises(AdapterNotSaved, match="fault of the program"):
        check_saved_adapter(model, tmp_path / "adapter", INPUT_IDS)
