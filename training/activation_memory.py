"""Whether a training step's activations have room, so that nothing is computed twice which memory could keep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

FREE_SHARE = 0.6  # of the memory that is free when the training begins; the rest is for gradients, logits and others
# Numbers that a layer keeps for the backward pass, per token: so many times its width, and its feed-forward's width.
# Counted on a Llama of 30 layers, 576 wide (torch.autograd.graph.saved_tensors_hooks): 12,700 with adapters on the
# attention, where this says 16,900, which leaves room for adapters on all layers.
KEPT_WIDTHS, KEPT_FEED_FORWARD = 16, 5
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def has_room_for_activations(
    model: PreTrainedModel, lengths: Sequence[int], batch_size: int, device: torch.device
) -> bool:
    """Whether one forward pass over the longest `batch_size` rows (`lengths` in tokens) can keep all its activations.

    False also where nobody can tell how much memory is free, or how wide the model is.
    """
    needed, free = activation_bytes(model, lengths, batch_size), free_bytes(device)
    return needed is not None and free is not None and needed <= FREE_SHARE * free


def activation_bytes(model: PreTrainedModel, lengths: Sequence[int], batch_size: int) -> int | None:
    """An estimate on the safe side, in fp32: layers × tokens × what a decoder layer with LoRA keeps of each token."""
    config = model.config.get_text_config()
    width, layers = getattr(config, "hidden_size", None), getattr(config, "num_hidden_layers", None)
    if not width or not layers or not lengths:
        return None
    feed_forward = getattr(config, "intermediate_size", None) or 4 * width
    tokens = min(batch_size, len(lengths)) * max(lengths)
    return int(4 * layers * tokens * (KEPT_WIDTHS * width + KEPT_FEED_FORWARD * feed_forward))


def free_bytes(device: torch.device) -> int | None:
    """Memory that a process may still take on a device; None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [number for number in (_available_bytes(), _container_bytes()) if number is not None]
    return min(known, default=None)


def _available_bytes() -> int | None:
    """What the kernel could give without swapping; half of what the machine has where it does not say."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError, AttributeError):
        return None


def _container_bytes() -> int | None:
    """What a container's limit leaves (cgroup v2)."""
    try:
        limit, used = ((CGROUP / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # no container, or "max"
        return None
