"""Reads a GGUF file into a model of transformers, its weights dequantised to 16 or 32 bits. Writes nothing.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from core.adapters.fingerprint import SAMPLE_BYTES, samples_fingerprint
from core.engine import host_memory
from core.errors import InvalidSetting, NotFound

# What gguf and transformers raise for a file that is cut short, damaged or no GGUF file at all.
UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError, RuntimeError, OverflowError)
BYTES_WHILE_READING = 6  # of each weight: once in fp32, as transformers dequantises it, and once in 16 bits
PLAIN_DTYPES = {GGMLQuantizationType.F32: torch.float32, GGMLQuantizationType.F16: torch.float16}
SAFETENSORS_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True)
class GGUFBase:
    """A dequantised model on the CPU and its tokenizer. `dtype` is what its weights are kept in."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class _Header:
    architecture: str
    has_chat_template: bool
    weights: int
    dtype: torch.dtype


def read_gguf(path: Path, generation: Mapping[str, Any]) -> GGUFBase:
    """Read and dequantise a GGUF file. `generation` are fields of its generation config, which GGUF has no place for.

    Raises NotFound when it cannot be opened, InvalidSetting for a file that is broken, too large for memory, of an
    architecture that transformers cannot dequantise, or without a chat template.
    """
    header = _read_header(path)
    _check(path, header)
    try:
        source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        plain = _without_quantization(model, header.dtype)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InvalidSetting(_too_large(path, header)) from error
    except (OSError, *UNREADABLE) as error:
        raise InvalidSetting(_broken(path, error)) from error
    plain.generation_config = GenerationConfig(**{**model.generation_config.to_diff_dict(), **generation})
    return GGUFBase(plain, tokenizer, header.dtype)


def memory_fingerprint(base: GGUFBase) -> str:
    """The `folder_fingerprint` that this model has once it is saved."""
    return samples_fingerprint(_samples(base))


def _samples(base: GGUFBase) -> Iterator[tuple[str, str, bytes]]:
    tied = set(base.model.all_tied_weights_keys)  # saved once, under the other name
    for name, tensor in base.model.state_dict().items():
        if name not in tied:
            kind = f"{SAFETENSORS_NAMES[tensor.dtype]} {list(tensor.shape)}"
            first = tensor.flatten()[: SAMPLE_BYTES // tensor.element_size()]
            yield name, kind, first.view(torch.uint8).numpy().tobytes()


def _read_header(path: Path) -> _Header:
    try:
        reader = GGUFReader(path)
        architecture = reader.fields["general.architecture"].contents()
        sizes: dict[GGMLQuantizationType, int] = {}
        for tensor in reader.tensors:
            sizes[tensor.tensor_type] = sizes.get(tensor.tensor_type, 0) + int(tensor.n_elements)
        most = max(sizes, key=lambda kind: sizes[kind])
        has_template = "tokenizer.chat_template" in reader.fields
        # Quantised weights fit into bf16, and most models were made in it.
        dtype = PLAIN_DTYPES.get(most, torch.bfloat16)
        return _Header(str(architecture), has_template, sum(sizes.values()), dtype)
    except OSError as error:
        raise NotFound(f"The GGUF file {path} cannot be read: {error.strerror}; check its rights.") from error
    except MemoryError as error:
        raise InvalidSetting(_broken(path, error)) from error
    except UNREADABLE as error:
        raise InvalidSetting(_broken(path, error)) from error


def _check(path: Path, header: _Header) -> None:
    if header.architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise InvalidSetting(
            f'{path} is of the architecture "{header.architecture[:40]}", which transformers cannot dequantise; choose'
            f" a model of one of these: {', '.join(sorted(GGUF_SUPPORTED_ARCHITECTURES))}."
        )
    if not header.has_chat_template:
        raise InvalidSetting(f"{path} has no chat template, so it cannot chat; choose the model's instruct variant.")
    if header.weights * BYTES_WHILE_READING > host_memory.free_bytes():
        raise InvalidSetting(_too_large(path, header))


def _without_quantization(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The same weights in a fresh model: transformers saves and trains none that it has read from GGUF."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.name_or_path = ""
    plain: PreTrainedModel = type(model).from_pretrained(
        None, config=config, state_dict=model.state_dict(), dtype=dtype
    )
    return plain.eval()


def _too_large(path: Path, header: _Header) -> str:
    needed, free = header.weights * BYTES_WHILE_READING, host_memory.free_bytes()
    return (
        f"{path} needs about {needed / 2**30:.1f} GiB of memory while it is dequantised, and"
        f" {free / 2**30:.1f} GiB are free; choose a smaller model, or close other programs."
    )


def _broken(path: Path, error: BaseException) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    return f"{path} cannot be read as a GGUF model ({reason}); it may be cut short or damaged, so download it again."
