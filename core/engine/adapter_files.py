"""Reads adapter folders in PEFT's format, and refuses whatever is not exactly a LoRA for this base model.

Knows nothing of devices, stacks or requests. Only safetensors are read, only from inside the configured folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from core.adapters.check import check_base, check_suffixes
from core.adapters.content_hash import CONFIG_FILE, MAX_BYTES, WEIGHTS_FILE, content_hash
from core.adapters.lineage import read_lineage
from core.adapters.module_patterns import check_names, first_match
from core.errors import AdapterRejected, InvalidData, NotFound
from core.generation import AdapterRef
from core.outside_files import parse_json, read_bytes, real_path

# No trained LoRA comes near it, and products of such numbers could overflow into the other replies of a batch.
MAX_ABS_WEIGHT = 1e4
# torch shares more numbers among threads. Adapters are read beside the engine's thread, and a second set of OpenMP
# threads makes libgomp put the engine's own to sleep between two products (docs/runs.md).
SERIAL_NUMBERS = 32_768
KEY_PREFIX = "base_model.model."
# Initialisations that train against a changed base model, so the saved A and B are wrong on the plain one.
PLAIN_INITS = (True, False, "gaussian", "eva", "orthogonal")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Config fields that ask for more than y = W0 x + scale · B A x; each must be empty.
BEYOND_LORA = {
    "alora_invocation_tokens": "aLoRA",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA",
    "layer_replication": "layer replication",
    "lora_bias": "biases in B",
    "modules_to_save": "whole retrained modules",
    "monteclora_config": "MonteCLoRA",
    "target_parameters": "LoRA on bare parameters",
    "trainable_token_indices": "retrained token embeddings",
    "use_bdlora": "BD-LoRA",
    "use_dora": "DoRA",
    "use_qalora": "QA-LoRA",
}


@dataclass(frozen=True)
class LoraPair:
    """The update of one linear module: scale · B A, with A: [r, in_features], B: [out_features, r]."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float

    @property
    def r(self) -> int:
        return self.a.shape[0]

    def scaled_b(self, device: torch.device) -> torch.Tensor:
        """[r, out_features] in fp32: Bᵀ with the scale folded in, before it is rounded to a model's dtype."""
        return (self.b.to(device, torch.float32) * self.scale).T


@dataclass(frozen=True)
class AdapterWeights:
    """A checked adapter in host memory: one pair per target module, named as in the base model."""

    ref: AdapterRef
    pairs: Mapping[str, LoraPair]

    @property
    def r(self) -> int:
        return max(pair.r for pair in self.pairs.values())


@dataclass(frozen=True)
class AdapterReader:
    """What an adapter folder is checked against. `targets` maps each linear module to (in_features, out_features)."""

    roots: tuple[Path, ...]
    targets: Mapping[str, tuple[int, int]]
    max_rank: int
    base_fingerprint: str | None = None

    def read(self, ref: AdapterRef, folder: Path) -> AdapterWeights:
        """Read an adapter version from its folder, and check it. Raises AdapterRejected with the first thing wrong."""
        folder = self._resolve(ref, folder)
        weights, config_text = self._read_files(ref, folder)
        if content_hash(weights, config_text) != ref.content_hash:
            raise AdapterRejected(f"The files of adapter {ref.name} changed since its registration; register it again.")
        config = _parse_config(ref, config_text)
        self._check_lineage(ref, folder)
        try:
            tensors = load_safetensors(weights)
        except (SafetensorError, ValueError) as error:
            raise AdapterRejected(
                f"{WEIGHTS_FILE} of adapter {ref.name} is not a valid safetensors file; save it again."
            ) from error
        return AdapterWeights(ref, self._pair_up(ref, config, tensors))

    def _resolve(self, ref: AdapterRef, folder: Path) -> Path:
        folder = real_path(folder)
        if not self._is_inside(folder):
            raise AdapterRejected(f"Adapter {ref.name} lies in {folder}, outside the folders adapters are read from.")
        if not folder.is_dir():
            raise AdapterRejected(f"The folder {folder} of adapter {ref.name} does not exist.")
        return folder

    def _read_files(self, ref: AdapterRef, folder: Path) -> tuple[bytes, bytes]:
        try:
            check_suffixes(ref, folder)
            files = {name: real_path(folder / name, strict=True) for name in (WEIGHTS_FILE, CONFIG_FILE)}
            if not all(self._is_inside(path) for path in files.values()):
                raise AdapterRejected(f"A file of adapter {ref.name} is a link that leads outside the adapter folders.")
            weights, config = (read_bytes(path, max_bytes=MAX_BYTES[name]) for name, path in files.items())
            return weights, config
        except (InvalidData, NotFound) as error:
            raise AdapterRejected(f"Adapter {ref.name} cannot be read from {folder}: {error}") from error
        except OSError as error:
            reason = error.strerror or "unreadable"
            what = Path(error.filename).name if error.filename else "a file"
            raise AdapterRejected(f"Adapter {ref.name} cannot be read from {folder}: {what}: {reason}.") from error

    def _is_inside(self, path: Path) -> bool:
        return any(path.is_relative_to(real_path(root)) for root in self.roots)

    def _check_lineage(self, ref: AdapterRef, folder: Path) -> None:
        if self.base_fingerprint is None:
            return
        try:
            lineage = read_lineage(folder)
        except InvalidData as error:
            raise AdapterRejected(f"Adapter {ref.name} cannot be used: {error}") from error
        check_base(ref, lineage, self.base_fingerprint)

    def _pair_up(
        self, ref: AdapterRef, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
    ) -> dict[str, LoraPair]:
        halves: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            module, _, half = key.removesuffix(".weight").rpartition(".")
            if half not in ("lora_A", "lora_B") or not key.startswith(KEY_PREFIX):
                raise AdapterRejected(f"Adapter {ref.name} holds the tensor {key}, which is no LoRA on a linear layer.")
            halves.setdefault(module.removeprefix(KEY_PREFIX), {})[half] = tensor
        if not halves:
            raise AdapterRejected(f"Adapter {ref.name} holds no weights.")
        return {module: self._check_pair(ref, config, module, half) for module, half in halves.items()}

    def _check_pair(
        self, ref: AdapterRef, config: Mapping[str, Any], module: str, halves: Mapping[str, torch.Tensor]
    ) -> LoraPair:
        if module not in self.targets:
            raise AdapterRejected(f"Adapter {ref.name} is for another base model: this one has no {module}.")
        if len(halves) != 2:
            raise AdapterRejected(f"Adapter {ref.name} has only {next(iter(halves))} of the two halves for {module}.")
        a, b = halves["lora_A"], halves["lora_B"]
        in_features, out_features = self.targets[module]
        r = a.shape[0] if a.ndim == 2 else 0
        if a.shape != (r, in_features) or b.shape != (out_features, r) or r == 0:
            raise AdapterRejected(
                f"Adapter {ref.name} is for another base model: {module} has A {list(a.shape)} and B {list(b.shape)},"
                f" but needs [r, {in_features}] and [{out_features}, r]."
            )
        if r > self.max_rank:
            raise AdapterRejected(f"Adapter {ref.name} has r={r} on {module}; at most {self.max_rank} is served.")
        if r not in (declared := _declared_ranks(config)):
            raise AdapterRejected(
                f"Adapter {ref.name} has r={r} on {module}, but its {CONFIG_FILE} says r={declared[0]}; the two files"
                " don't belong together, so save it again."
            )
        if any(half.dtype not in DTYPES for half in (a, b)):
            raise AdapterRejected(f"Adapter {ref.name} stores {module} as {a.dtype}; use float32, bfloat16 or float16.")
        scale = _scale(config, module, r)
        largest_b = MAX_ABS_WEIGHT / max(1.0, abs(scale))
        if abs(scale) > MAX_ABS_WEIGHT or not (_is_in_range(a, MAX_ABS_WEIGHT) and _is_in_range(b, largest_b)):
            raise AdapterRejected(
                f"Adapter {ref.name} holds NaN, infinity or numbers beyond ±{MAX_ABS_WEIGHT:g} in {module}, scaled by"
                f" {scale:g}; train it again with a lower learning rate or lora_alpha."
            )
        return LoraPair(a, b, scale)


def _is_in_range(half: torch.Tensor, largest: float) -> bool:
    """Whether no number is larger, or NaN."""
    pieces = (half,) if half.numel() <= SERIAL_NUMBERS else torch.split(half.flatten(), SERIAL_NUMBERS)
    return all(abs(float(end)) <= largest for piece in pieces for end in torch.aminmax(piece))


def _parse_config(ref: AdapterRef, text: bytes) -> dict[str, Any]:
    try:
        config = parse_json(text)
    except InvalidData as error:
        raise AdapterRejected(f"{CONFIG_FILE} of adapter {ref.name} is {error}; save the adapter again.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterRejected(f'{CONFIG_FILE} of adapter {ref.name} does not say "peft_type": "LORA".')
    check_names(ref.name, config)
    for field, what in BEYOND_LORA.items():
        if config.get(field):
            raise AdapterRejected(f"Adapter {ref.name} uses {what} ({field}), which is not served; train a plain LoRA.")
    if config.get("bias", "none") != "none":
        raise AdapterRejected(f'Adapter {ref.name} retrains biases; only "bias": "none" can be served.')
    if config.get("init_lora_weights", True) not in PLAIN_INITS:
        raise AdapterRejected(
            f"Adapter {ref.name} was initialised with {config['init_lora_weights']}, which changes the base model;"
            " convert it to a plain LoRA first."
        )
    for field, value in _alphas(config):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise AdapterRejected(f"{CONFIG_FILE} of adapter {ref.name} has no finite number as {field}.")
    return config


def _alphas(config: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    pattern = config.get("alpha_pattern") or {}
    if not isinstance(pattern, dict):
        return [("alpha_pattern", None)]
    return [("lora_alpha", config.get("lora_alpha")), *((f"alpha_pattern[{key}]", v) for key, v in pattern.items())]


def _declared_ranks(config: Mapping[str, Any]) -> list[Any]:
    pattern = config.get("rank_pattern") or {}
    return [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]


def _scale(config: Mapping[str, Any], module: str, r: int) -> float:
    """lora_alpha / r (LoRA, arXiv:2106.09685), or lora_alpha / sqrt(r) with use_rslora (arXiv:2312.03732).

    r is the tensor's own, which already follows PEFT's `rank_pattern`. `alpha_pattern` says it otherwise by module.
    """
    pattern = config.get("alpha_pattern") or {}
    key = first_match(pattern, module)
    alpha = config["lora_alpha"] if key is None else pattern[key]
    return float(alpha) / (math.sqrt(r) if config.get("use_rslora") else r)
