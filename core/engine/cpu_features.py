"""What this machine's CPU does in hardware. Knows no model."""

from __future__ import annotations

from functools import cache

import torch

BF16_UNITS = ("avx512_bf16", "amx_bf16")


@cache
def has_fast_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware; elsewhere bf16 is emulated, and slower than fp32.

    False where torch cannot tell.
    """
    try:
        features = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):
        return False
    return any(bool(features.get(unit)) for unit in BF16_UNITS)
