"""Loads the base model that the settings name: a hub id or folder as it is, a GGUF file through a dequantised copy."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from core.default_model import DEFAULT_MODEL, SAMPLING
from core.engine.gguf_base import memory_fingerprint, read_gguf
from core.engine.gguf_copy import UnwritableFolder, dequantised_copy
from core.engine.loading import LoadedBase, base_in_memory, load_base_model, read_config
from core.gguf_path import gguf_file, is_gguf
from core.settings import Settings

logger = logging.getLogger(__name__)


def load_configured_base(
    settings: Settings, *, quantization: str | None = None, for_serving: bool = False
) -> LoadedBase:
    """The base model of these settings, quantised as they say or as `quantization` does. `for_serving`: see
    `load_base_model`.

    Raises what `load_base_model` and `dequantised_copy` raise, but serves from memory where the data folder cannot be
    written.
    """
    options = {
        "device": settings.device,
        "dtype": settings.dtype,
        "quantization": quantization or settings.quantization,
    }
    if not is_gguf(settings.base_model):
        return load_base_model(settings.base_model_path, for_serving=for_serving, **options)
    try:
        _dequantise(settings)
    except UnwritableFolder as error:
        logger.warning("The base model is dequantised into memory at every start: %s", error)
        base = read_gguf(gguf_file(settings.base_model), _generation(settings))
        return base_in_memory(
            base.model, base.tokenizer, name=settings.base_model, fingerprint=memory_fingerprint(base), **options
        )
    return load_base_model(settings.base_model_path, for_serving=for_serving, **options)


def base_without_weights(settings: Settings) -> PreTrainedModel:
    """The base model of these settings on no device: its config, and its layers' names and shapes.

    Raises NotFound and InvalidSetting, and what `dequantised_copy` raises.
    """
    if is_gguf(settings.base_model):
        _dequantise(settings)
    config = read_config(settings.base_model_path)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model


def _dequantise(settings: Settings) -> None:
    dequantised_copy(gguf_file(settings.base_model), Path(settings.base_model_path), _generation(settings))


def _generation(settings: Settings) -> dict[str, Any]:
    return SAMPLING if settings.base_model == DEFAULT_MODEL else {}
