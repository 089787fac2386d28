"""fp32 weights kept in fp16 and multiplied in fp32: a CPU reads half as much, and that is what a decode step waits for.

FBGEMM, which torch brings along for x86, widens them while it multiplies; inputs and sums stay in fp32. Only weights
that lose nothing are kept so: most models are published in bf16 or fp16, and fp16 holds all but the tiniest of bf16's
numbers.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from core.engine.product_speed import ROWS, median_times

# A product in fp32 is not more exact. Weights that were published in fp32 would move by 2e-4 of themselves.
MAX_ROUNDING = 1e-5
FP16_MAX = torch.finfo(torch.float16).max
ROWS_AT_ONCE = 4096
# Smaller weights stay in a core's cache.
MIN_ELEMENTS = 100_000
PROBE_TOLERANCE = 1e-4
# A weight [out, in] that is too large for most caches.
SHAPE = (8192, 1024)


def is_faster_in_half(weight: torch.Tensor) -> bool:
    """Whether a weight [out, in] gains by being kept in fp16 and loses nothing."""
    is_large = weight.dtype == torch.float32 and weight.numel() >= MIN_ELEMENTS
    return is_large and can_halve() and fits_fp16(weight) and measure_half() > 1


def fits_fp16(weight: torch.Tensor) -> bool:
    """Whether an fp32 weight [out, in] keeps its numbers in fp16."""
    largest = max(abs(float(end)) for end in torch.aminmax(weight))
    if not largest <= FP16_MAX:  # said this way round, so that what is no number does not fit
        return False
    moved = 0.0
    for part in torch.split(weight, ROWS_AT_ONCE):
        moved += float((part - part.half()).square().sum())
    return moved <= (MAX_ROUNDING * float(torch.linalg.vector_norm(weight))) ** 2


def pack_in_half(weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """FBGEMM's own object, which `multiply_half` and `unpack_half` take. weight: [out, in] in fp32."""
    return torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias)


def multiply_half(x: torch.Tensor, packed: Any) -> torch.Tensor:
    """x: [..., in] in fp32, of one dimension or more; returns [..., out]."""
    y: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(x if x.dim() > 1 else x.unsqueeze(0), packed)
    return y if x.dim() > 1 else y[0]


def unpack_half(packed: Any) -> torch.Tensor:
    """[out, in] in fp32: the weight as fp16 holds it."""
    weight: torch.Tensor = torch.ops.quantized.linear_unpack_fp16(packed)[0]
    return weight


@functools.cache
def can_halve() -> bool:
    """Whether this machine and this torch multiply as expected. The operators are no public interface."""
    weight, bias, x = torch.linspace(-1, 1, 64 * 32).view(64, 32), torch.linspace(-1, 1, 64), torch.ones(1, 3, 32)
    try:
        packed = pack_in_half(weight, bias)
        expected = nn.functional.linear(x, weight.half().float(), bias)
        is_right = torch.allclose(multiply_half(x, packed), expected, atol=PROBE_TOLERANCE)
        return is_right and torch.equal(unpack_half(packed), weight.half().float())
    except (AttributeError, RuntimeError, TypeError):
        return False


@functools.cache
@torch.inference_mode()
def measure_half() -> float:
    """How many times as fast as a plain one a decode step's product is with its weight in fp16; once per process.

    Takes a fraction of a second.
    """
    weight, x = torch.linspace(-1, 1, SHAPE[0] * SHAPE[1]).view(SHAPE), torch.ones(ROWS, SHAPE[1])
    packed = pack_in_half(weight, None)
    times = median_times(
        {"plain": lambda: nn.functional.linear(x, weight), "half": lambda: multiply_half(x, packed)},
    )
    return times["plain"] / times["half"]
