"""Linear layers that read one input, computed as one, with the adapters' updates of them. Knows no architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from core.engine.lora_block import JoinedLora
from core.engine.program import Program


@dataclass(slots=True)
class JoinedLinear:
    """Linear layers that read one input, as one, and the adapters' updates of it. `members` are the model's own."""

    linear: nn.Linear
    lora: JoinedLora
    members: Sequence[nn.Linear]
    order: torch.Tensor
    """[out_features]: where each output lies among those of the members, one after another."""

    def bind(self, program: Program, x: torch.Tensor, out: torch.Tensor) -> None:
        """x: [tokens, in_features], out: [tokens, out_features]."""
        program.store(out, self.linear, x)
        self.lora.bind(program, out, x)

    def bind_sum(self, program: Program, x: torch.Tensor, total: torch.Tensor) -> None:
        """Add the outputs to `total` [tokens, out_features]."""
        program.accumulate(total, self.linear, x)
        self.lora.bind(program, total, x)

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
