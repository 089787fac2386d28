"""One decoder layer of the Llama family in about 25 operators: joined products, one rotation, one norm for q and k.

What differs between the families is data: biases, norms, windows, soft caps, gate functions. Adapters are added to the
joined products by their JoinedLora. A layer is bound to a step's tensors once, see program.py, and then only run. Knows
neither transformers nor requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from core.engine.joined_linear import JoinedLinear
from core.engine.kv_slots import AttentionRule
from core.engine.program import Program


class Norm:
    """Root mean square norm over the last dimension (arXiv:1910.07467), computed in fp32.

    `weight`: what the features are multiplied with, [features] or [heads, features].
    """

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        features = weight.shape[-1]
        self._weight = weight.float() * math.sqrt(features)
        self._eps = torch.tensor(math.sqrt(features * eps), device=weight.device)

    def bind(self, program: Program, x: torch.Tensor, out: torch.Tensor) -> None:
        """x and out: [..., features] or [..., heads, features], which may be the same."""
        # |x| / √features is the root mean square; three operators less than squaring, averaging and adding.
        length = program.room("length", *x.shape[:-1], 1, dtype=torch.float32)
        wide = out if out.dtype == torch.float32 else program.room("wide", *x.shape, dtype=torch.float32)
        program.add(torch.linalg.vector_norm, x, dim=-1, keepdim=True, dtype=torch.float32, out=length)
        program.add(torch.hypot, length, self._eps, out=length)
        program.add(torch.div, x, length, out=wide)
        program.add(wide.mul_, self._weight)
        if wide is not out:
            program.add(out.copy_, wide)


def bind_rotation(program: Program, x: torch.Tensor, turns: torch.Tensor) -> None:
    """Turn the pairs of x [tokens, heads, dim] in place by complex turns [tokens, 1, rotary / 2]."""
    part = x[..., : 2 * turns.shape[-1]]
    is_wide = part.dtype == torch.float32
    wide = part if is_wide else program.room("turned", *part.shape, dtype=torch.float32)
    if not is_wide:
        program.add(wide.copy_, part)
    program.add(torch.view_as_complex(wide.view(*wide.shape[:-1], -1, 2)).mul_, turns)
    if not is_wide:
        program.add(part.copy_, wide)


class Attention(Protocol):
    """Stores a step's keys and values, and attends to all that its tokens may see: StepAttention, for one."""

    def bind(
        self,
        program: Program,
        layer: int,
        states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        """`states` are query, key and value, and each of them and `out` is [tokens, heads, dim]."""


@dataclass(slots=True)
class FusedLayer:
    """A decoder layer over [tokens, features]. `heads_norm` is that of q and k together; norms may be left out."""

    index: int
    qkv: JoinedLinear
    o: JoinedLinear
    gate_up: JoinedLinear
    down: JoinedLinear
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

    def bind(self, program: Program, x: torch.Tensor, turns: torch.Tensor, attention: Attention) -> None:
        """x: [tokens, features], which is changed. `turns` is the rotation of every token, see `bind_rotation`."""
        normed = program.room("normed", *x.shape)
        self.input_norm.bind(program, x, normed)
        heads = [self.heads, self.kv_heads, self.kv_heads]
        states = program.room("states", len(x), self.qkv.linear.out_features)
        self.qkv.bind(program, normed, states)
        query, key, value = torch.split(by_head := states.view(len(x), sum(heads), -1), heads, dim=1)
        rotated = by_head[:, : self.heads + self.kv_heads]
        if self.heads_norm is not None:
            self.heads_norm.bind(program, rotated, rotated)
        bind_rotation(program, rotated, turns)
        mixed = program.room("mixed", *query.shape)
        attention.bind(program, self.index, (query, key, value), self.rule, mixed)
        self._bind_update(program, x, self.o, mixed.flatten(1), self.attention_out_norm)
        self.mlp_norm.bind(program, x, normed)
        gate_up = program.room("gate_up", len(x), self.gate_up.linear.out_features)
        self.gate_up.bind(program, normed, gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        gated = program.room("gated", *gate.shape)
        program.store(gated, self.activation, gate)
        program.add(gated.mul_, up)
        self._bind_update(program, x, self.down, gated, self.mlp_out_norm)

    def _bind_update(
        self, program: Program, x: torch.Tensor, part: JoinedLinear, inputs: torch.Tensor, norm: Norm | None
    ) -> None:
        """x += norm(part(inputs))"""
        if norm is None and x.dtype == torch.float32:
            part.bind_sum(program, inputs, x)
            return
        update = program.room("update", *x.shape)  # in less than fp32, x would round the adapters' part away
        part.bind(program, inputs, update)
        if norm is not None:
            norm.bind(program, update, update)
        program.add(x.add_, update)
