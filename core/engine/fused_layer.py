"""One decoder layer of the Llama family in about 18 operators: joined products, one rotation, one norm for q and k.

What differs between the families is data: biases, norms, windows, soft caps, gate functions. Adapters are added to the
joined products by their LoraBlock. Knows neither transformers nor requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from core.engine.kv_slots import AttentionRule
from core.engine.lora_block import JoinedLora


class Norm:
    """Root mean square norm over the last dimension (arXiv:1910.07467), computed in fp32.

    `weight`: what the features are multiplied with, [features] or [heads, features].
    """

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        features = weight.shape[-1]
        self._weight = weight.float() * math.sqrt(features)
        self._eps = torch.tensor(math.sqrt(features * eps), device=weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        # |x| / √features is the root mean square; three operators less than squaring, averaging and adding.
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return (x / torch.hypot(length, self._eps)).mul_(self._weight).to(x.dtype)


@dataclass(slots=True)
class Joined:
    """Linear layers that read one input, as one, and the adapters' updates of it. `members` are the model's own."""

    linear: nn.Linear
    lora: JoinedLora
    members: Sequence[nn.Linear]
    order: torch.Tensor
    """[out_features]: where each output lies among those of the members, one after another."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(x)
        self.lora.add_to(y, x)
        return y

    def give_back(self) -> None:
        """Undo the joining: each member gets its own weight again."""
        back = self.order.argsort()
        sizes = [member.out_features for member in self.members]
        for name in ("weight", "bias"):
            joined = getattr(self.linear, name)
            if self.linear not in self.members and joined is not None:
                for member, part in zip(self.members, torch.split(joined.detach()[back], sizes), strict=True):
                    if getattr(member, name) is not None:
                        setattr(member, name, nn.Parameter(part.clone(), requires_grad=False))


def join_linears(members: Sequence[nn.Linear], order: torch.Tensor) -> nn.Linear:
    """One layer whose outputs are the members', in this order. It takes their weights; one that fits is used itself."""
    if len(members) == 1 and torch.equal(order, torch.arange(len(order), device=order.device)):
        return members[0]
    joined = nn.Linear(members[0].in_features, len(order), bias=False, device="meta")
    joined.weight = nn.Parameter(torch.cat([member.weight.detach() for member in members])[order], requires_grad=False)
    biases: list[torch.Tensor | None] = [member.bias for member in members]
    if any(bias is not None for bias in biases):
        whole = [
            joined.weight.new_zeros(member.out_features) if bias is None else bias.detach()
            for member, bias in zip(members, biases, strict=True)
        ]
        joined.bias = nn.Parameter(torch.cat(whole)[order], requires_grad=False)
    for member in members:
        member.weight = nn.Parameter(member.weight.new_empty(0), requires_grad=False)
    return joined


def pair_up(heads: int, dim: int, rotary: int, device: torch.device) -> torch.Tensor:
    """[heads·dim]: the order that lays the two halves of each head's rotary part side by side, 0, n, 1, n + 1, ...

    A pair is then one complex number, and a rotation one product. q and k may be reordered alike, as only their
    products count.
    """
    pairs = torch.arange(rotary, device=device).view(2, -1).T.flatten()
    head = torch.cat([pairs, torch.arange(rotary, dim, device=device)])
    return (torch.arange(heads, device=device).unsqueeze(1) * dim + head).flatten()


def rotate_(x: torch.Tensor, turns: torch.Tensor) -> None:
    """Turn the pairs of x [tokens, heads, dim] in place by complex turns [tokens, 1, rotary / 2]."""
    part = x[..., : 2 * turns.shape[-1]]
    wide = part.float()  # the same tensor where it is fp32
    torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_(turns)
    if wide is not part:
        part.copy_(wide)


class Attention(Protocol):
    """Stores a step's keys and values, and attends to all that its tokens may see: KvSlots, for one."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: AttentionRule
    ) -> torch.Tensor:
        """Each [tokens, heads, dim]; returns [tokens, heads, value_dim]."""


@dataclass(slots=True)
class FusedLayer:
    """A decoder layer over [tokens, features]. `heads_norm` is that of q and k together; norms may be left out."""

    index: int
    qkv: Joined
    o: Joined
    gate_up: Joined
    down: Joined
    heads: int
    kv_heads: int
    rule: AttentionRule
    rope: str | None
    activation: Callable[[torch.Tensor], torch.Tensor]
    input_norm: Norm
    mlp_norm: Norm
    heads_norm: Norm | None = None
    attention_out_norm: Norm | None = None
    mlp_out_norm: Norm | None = None

    def forward(self, x: torch.Tensor, turns: torch.Tensor, attention: Attention) -> torch.Tensor:
        """x: [tokens, features]. `turns` is the rotation of every token, see `rotate_`."""
        states = self.qkv(self.input_norm(x)).view(len(x), self.heads + 2 * self.kv_heads, -1)
        rotated = states[:, : self.heads + self.kv_heads]
        if self.heads_norm is not None:
            rotated.copy_(self.heads_norm(rotated))
        rotate_(rotated, turns)
        query, key, value = torch.split(states, [self.heads, self.kv_heads, self.kv_heads], dim=1)
        y = self.o(attention.attend(self.index, query, key, value, self.rule).flatten(1))
        x = x + (y if self.attention_out_norm is None else self.attention_out_norm(y))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        y = self.down(self.activation(gate).mul_(up))
        return y.add_(x) if self.mlp_out_norm is None else self.mlp_out_norm(y).add_(x)
