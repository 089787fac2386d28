"""Causal attention for training on a CPU, as plain batched products. Knows torch and the name transformers finds it by.

PyTorch's own CPU kernel takes a third of a training step at the lengths trained on here (48 to 160 tokens), nearly all
of it in the backward pass; bf16 products, for which recent CPUs have instructions, halve the time of the whole step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

NAME = "batched_products"


def use_batched_products(model: PreTrainedModel) -> None:
    """Train with this attention. Batches must be padded on the right: nothing is masked but the future."""
    AttentionInterface.register(NAME, batched_products)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
    model.set_attn_implementation(NAME)


def batched_products(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Query, key, value [batch, heads, length, head size] to ([batch, length, heads, head size], no weights)."""
    batch, heads, length, size = query.shape
    q, k, v = (states.reshape(batch * heads, length, size).bfloat16() for states in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        future = torch.full((length, length), float("-inf"), dtype=q.dtype, device=q.device).triu(1)
        weights = torch.baddbmm(future, q, k.transpose(1, 2), alpha=scaling).softmax(-1)
        attended = torch.bmm(weights, v)
    return attended.view(batch, heads, length, size).transpose(1, 2).contiguous(), None
