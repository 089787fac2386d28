"""Writes an adapter as the GGUF file that llama.cpp loads beside its own file of the base model: `personas export`.

The format is that of llama.cpp's convert_lora_to_gguf.py: `general.type` "adapter", and for every changed matrix
`<name>.lora_a` [r, in_features] and `<name>.lora_b` [out_features, r], which llama.cpp scales by alpha / r.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH_NAMES, GGUFWriter, Keys, TensorNameMap, get_tensor_name_map
from gguf.constants import GGUFType
from transformers import PretrainedConfig

from core.adapters.check import local_fingerprint
from core.adapters.registry import RegisteredAdapter
from core.engine.adapter_files import AdapterWeights, LoraPair
from core.engine.configured_base import base_without_weights
from core.errors import InvalidSetting
from core.settings import Settings
from training.new_output import new_output
from training.served_adapter import read_served

# transformers' model type -> llama.cpp's architecture.
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
}
INTERLEAVED = frozenset({"llama"})  # their rotary embedding turns neighbouring rows of a head, not its halves


@dataclass(frozen=True, slots=True)
class _Heads:
    query: int
    key: int


def export_gguf(settings: Settings, version: RegisteredAdapter, out: Path) -> None:
    """Write the adapter to the new file `out`, its weights in fp32.

    Raises InvalidSetting for a base model of another architecture, InvalidInput where `out` is taken, AdapterRejected
    for a broken adapter, NotFound for the base model, and StoreUnavailable for the disk.
    """
    base = base_without_weights(settings)
    config = base.config.get_text_config()
    if config.model_type not in ARCHITECTURES:
        raise InvalidSetting(
            f"{settings.base_model} is of the type {config.model_type}, for which no adapter can be written as GGUF;"
            f" there are: {', '.join(ARCHITECTURES)}. `personas merge` writes a whole model instead."
        )
    fingerprint = local_fingerprint(settings.base_model_path)
    adapter = read_served(version.ref, version.folder, settings, base, fingerprint)
    with new_output(out) as path:
        write_gguf_adapter(path, adapter, config)


def write_gguf_adapter(path: Path, adapter: AdapterWeights, config: PretrainedConfig) -> None:
    """Write an adapter for a base model of this config, whose type is one of ARCHITECTURES. Raises InvalidSetting for
    an adapter of a module that llama.cpp does not know."""
    architecture = ARCHITECTURES[config.model_type]
    known = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    names = get_tensor_name_map(known[architecture], config.num_hidden_layers)
    heads = _Heads(config.num_attention_heads, config.num_key_value_heads) if architecture in INTERLEAVED else None
    first = next(iter(adapter.pairs.values()))
    alpha = first.scale * first.r
    logging.getLogger("gguf").setLevel(logging.WARNING)  # it tells of every file it writes
    writer = GGUFWriter(path, architecture)
    try:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_name(adapter.ref.name)
        writer.add_string(Keys.Adapter.TYPE, "lora")
        writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
        for name, matrix in _tensors(adapter, alpha, names, heads):
            writer.add_tensor(name, np.ascontiguousarray(matrix.float().numpy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _tensors(
    adapter: AdapterWeights, alpha: float, names: TensorNameMap, heads: _Heads | None
) -> Iterator[tuple[str, torch.Tensor]]:
    for module, pair in adapter.pairs.items():
        name = names.get_name(module)
        if name is None:
            raise InvalidSetting(f"llama.cpp knows no {module}, which adapter {adapter.ref.name} changes; merge it.")
        yield f"{name}.weight.lora_a", pair.a
        yield f"{name}.weight.lora_b", _turned(module, _scaled(pair, alpha), heads)


def _scaled(pair: LoraPair, alpha: float) -> torch.Tensor:
    """B as it must be where llama.cpp multiplies by alpha / r, which is this layer's own scale but for other ranks."""
    factor = pair.scale * pair.r / alpha
    return pair.b if factor == 1 else pair.b.float() * factor


def _turned(module: str, b: torch.Tensor, heads: _Heads | None) -> torch.Tensor:
    """B with its rows in the order that llama.cpp's file of the base model has for queries and keys."""
    count = None if heads is None else {"q_proj": heads.query, "k_proj": heads.key}.get(module.rpartition(".")[2])
    if count is None:
        return b
    return b.reshape(count, 2, b.shape[0] // count // 2, b.shape[1]).swapaxes(1, 2).reshape(b.shape)
