"""Decides how a base model's weights are stored: as they are, NF4 or int8. Knows no model and no tokenizer.

Probing (what does bitsandbytes do on this machine?) and choosing (what follows from it?) are apart, so that every
combination is tested without the hardware.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, cast, get_args

import torch

from core.errors import InvalidSetting

Quantization = Literal["none", "nf4", "int8"]
QuantizedKind = Literal["nf4", "int8"]
# transformers 5 refuses older ones, and 0.46 is the first with kernels for the CPU.
MIN_BITSANDBYTES = (0, 46, 1)
IMPORT_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)  # what a broken bitsandbytes raises
MAX_SHARE_OF_FREE_MEMORY = 0.6
# bitsandbytes.functional._convert_weight_packed_for_cpu
PACKED_ROWS, PACKED_COLUMNS = 32, 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuantizationChoice:
    """What was asked for, what was chosen and why; recorded in an adapter's lineage."""

    requested: str
    chosen: Quantization
    reason: str


@dataclass(frozen=True, slots=True)
class QuantizationProbe:
    """What bitsandbytes can do for one type of device.

    `version` is None where it is not installed, `failure` says why it could not be imported, `kernel_failures` why a
    tiny quantise and dequantise of that kind failed; a kind without an entry works.
    """

    device_type: str
    version: str | None = None
    failure: str | None = None
    supported_devices: frozenset[str] = frozenset()
    kernel_failures: Mapping[str, str] = field(default_factory=dict)

    def problem(self, kind: QuantizedKind) -> str | None:
        """Why this kind cannot be had here; None when it can."""
        if self.version is None:
            return "bitsandbytes is not installed"
        if _numbers(self.version) < MIN_BITSANDBYTES:
            return f"bitsandbytes {self.version} is too old ({'.'.join(map(str, MIN_BITSANDBYTES))} is needed)"
        if self.failure is not None:
            return f"bitsandbytes {self.version} cannot be imported ({self.failure})"
        if self.device_type not in self.supported_devices:
            return f"bitsandbytes {self.version} does not support the device {self.device_type}"
        if kind in self.kernel_failures:
            return f"bitsandbytes {self.version} has no working {kind} kernel here ({self.kernel_failures[kind]})"
        return None


def choose_quantization(
    requested: str, *, probe: QuantizationProbe, model_bytes: int | None = None, free_bytes: int | None = None
) -> QuantizationChoice:
    """Choose how to store the weights. Pure; never fails for a kind that cannot be had: that falls back to none.

    `model_bytes` is the model's size in 16-bit weights, `free_bytes` the device's free memory; None is unknown.
    Raises InvalidSetting for a word that is not a choice.
    """
    if requested == "none":
        return QuantizationChoice(requested, "none", "as asked for")
    if requested == "auto":
        return _choose_automatically(probe, model_bytes, free_bytes)
    for kind in get_args(QuantizedKind):
        if requested == kind:
            problem = probe.problem(kind)
            if problem is None:
                return QuantizationChoice(requested, kind, "as asked for")
            return QuantizationChoice(requested, "none", f"{kind} cannot be had: {problem}")
    raise InvalidSetting(f'PERSONAS_QUANTIZATION is "{requested}"; use auto, none, nf4 or int8.')


def _choose_automatically(
    probe: QuantizationProbe, model_bytes: int | None, free_bytes: int | None
) -> QuantizationChoice:
    if probe.device_type != "cuda":
        return QuantizationChoice("auto", "none", f"quantised weights save no time on {probe.device_type}")
    if model_bytes is None or free_bytes is None:
        return QuantizationChoice("auto", "none", "the model's size or the free memory is not known")
    sizes = f"{model_bytes / 2**30:.1f} GiB of 16-bit weights for {free_bytes / 2**30:.1f} GiB of free memory"
    if model_bytes <= MAX_SHARE_OF_FREE_MEMORY * free_bytes:
        return QuantizationChoice("auto", "none", f"the model fits as it is: {sizes}")
    problem = probe.problem("nf4")
    if problem is None:
        return QuantizationChoice("auto", "nf4", f"the model is large: {sizes}")
    return QuantizationChoice("auto", "none", f"the model is large ({sizes}), but {problem}")


def probe_quantization(device: torch.device) -> QuantizationProbe:
    """Find out what bitsandbytes really does on this device, by quantising one small matrix of each kind."""
    if find_spec("bitsandbytes") is None:
        return QuantizationProbe(device.type)
    try:
        installed = version("bitsandbytes")
    except PackageNotFoundError:  # a folder of that name, not the package
        return QuantizationProbe(device.type)
    if _numbers(installed) < MIN_BITSANDBYTES:
        return QuantizationProbe(device.type, installed)
    try:
        bitsandbytes = import_bitsandbytes()
    except IMPORT_ERRORS as error:
        return QuantizationProbe(device.type, installed, failure=_first_line(error))
    supported = frozenset(getattr(bitsandbytes, "supported_torch_devices", ()))
    failures = {}
    if device.type in supported:
        for kind in get_args(QuantizedKind):
            try:
                _round_trip(bitsandbytes, kind, device)
            except (ImportError, RuntimeError, AttributeError, ValueError) as error:
                failures[kind] = _first_line(error)
    return QuantizationProbe(device.type, installed, None, supported, failures)


def forestall_bitsandbytes() -> None:
    """Import bitsandbytes in our way before PEFT does in its own; `probe_quantization` tells of a broken one."""
    if find_spec("bitsandbytes") is not None:
        with suppress(*IMPORT_ERRORS):
            import_bitsandbytes()


def import_bitsandbytes() -> ModuleType:
    """Import bitsandbytes without letting it fetch code, or load a compiler for what no CPU and no NVIDIA card runs.

    On a CPU with AVX512-BF16 its import downloads and runs a kernel from the hub when the package `kernels` is there.
    """
    # It would log one line for every int8 layer and token.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    with _without_hub_kernels(), _without_compiler():
        return importlib.import_module("bitsandbytes")


@contextmanager
def _without_hub_kernels() -> Iterator[None]:
    backend_logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    level = backend_logger.level
    kernels = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment]  # makes `import kernels` an ImportError
    backend_logger.setLevel(logging.ERROR)  # it would advise to install `kernels`
    try:
        yield
    finally:
        backend_logger.setLevel(level)
        if kernels is None:
            del sys.modules["kernels"]
        else:
            sys.modules["kernels"] = kernels


@contextmanager
def _without_compiler() -> Iterator[None]:
    """torch.compile loads its compiler as soon as it is named, which takes seconds."""
    compile_later = torch.compile
    torch.compile = lambda model=None, **_: model
    try:
        yield
    finally:
        torch.compile = compile_later


def avoid_packed_kernel(model: torch.nn.Module, *, for_training: bool) -> None:
    """Keep bitsandbytes from repacking NF4 weights for its AVX512-BF16 kernel where that kernel cannot be used.

    It repacks at the first forward pass in eval mode, fails there for matrices its blocks do not divide, and lets no
    gradient through from then on: one evaluation before training would leave the lower layers untrained, silently.
    """
    for module in cast(Iterator[Any], model.modules()):
        if getattr(module, "support_avx512bf16_for_cpu", False):
            rows, columns = module.out_features, module.in_features
            if for_training or rows % PACKED_ROWS or columns % PACKED_COLUMNS:
                module.support_avx512bf16_for_cpu = False


def _round_trip(bitsandbytes: ModuleType, kind: QuantizedKind, device: torch.device) -> None:
    matrix = torch.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64).half()
    functional = bitsandbytes.functional
    if kind == "nf4":
        restored = functional.dequantize_4bit(*functional.quantize_4bit(matrix, quant_type="nf4"))
    else:
        quantized, scale, _ = functional.int8_vectorwise_quant(matrix)
        restored = functional.int8_vectorwise_dequant(quantized, scale)
    error = (restored.float() - matrix.float()).abs().max().item()
    if not error < 0.2:
        raise RuntimeError(f"a quantised matrix came back wrong by {error:.2g}")


def _numbers(text: str) -> tuple[int, ...]:
    """ "0.46.1.dev0" -> (0, 46, 1); enough to compare releases."""
    numbers = []
    for part in text.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
