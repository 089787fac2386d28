"""What this machine's CPU can do that torch's own defaults leave unused. Knows no model."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_fast_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware: AVX512-BF16 or AMX-BF16. False where torch cannot tell."""
    try:
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    except (AttributeError, RuntimeError):
        return False
