from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from training import activation_memory
from training.activation_memory import activation_bytes, free_bytes, has_room_for_activations

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    config = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, vocab_size=64
    )
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_the_estimate_covers_what_was_counted_on_such_a_model(model) -> None:
    counted = 122_222_720  # 80 tokens through SmolLM2-135M with adapters on its attention, in fp32
    assert counted < activation_bytes(model, [40, 40], 2) < 1.5 * counted


def test_activations_are_kept_where_the_longest_batch_has_room(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_memory, "free_bytes", lambda device: 8 << 30)
    assert has_room_for_activations(model, [85] * 640, 8, CPU)
    assert not has_room_for_activations(model, [85] * 639 + [1000], 8, CPU)
    assert has_room_for_activations(model, [85] * 639 + [1000], 1, CPU)


def test_where_nobody_knows_what_is_free_they_are_not_kept(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_memory, "free_bytes", lambda device: None)
    assert not has_room_for_activations(model, [85], 8, CPU)


def test_a_containers_limit_counts_where_it_is_narrower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(activation_memory, "CGROUP", tmp_path)
    assert free_bytes(CPU) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) > 3_000_000


def test_a_system_without_meminfo_says_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_memory, "MEMINFO", tmp_path / "nothing")
    assert free_bytes(CPU) > 1 << 20
