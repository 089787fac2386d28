"""A linear layer with the stacked adapters' updates, for models that run their own code. Knows neither slots nor files.

Modules that read the same input share one product with A: their A rows lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from core.engine.adapter_files import LoraPair
from core.engine.lora_step import LoraStep, Segment


class SharedA:
    """The A matrices of modules that read one input: `stacked` is [members, K, r, in_features]."""

    def __init__(self, step: LoraStep, members: int, in_features: int) -> None:
        self._step = step
        self._members = members
        self._in_features = in_features
        self._input: torch.Tensor | None = None
        self._hidden: list[Sequence[torch.Tensor]] = []
        self._views: dict[tuple[int, int], torch.Tensor] = {}
        self.stacked = torch.empty(members, 0, 0, in_features)
        self.rows = 0

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row, keeping what is there. `like` gives dtype and device."""
        grown = like.new_zeros(self._members, rows, r, self._in_features)
        grown[:, : self.stacked.shape[1], : self.stacked.shape[2]] = self.stacked
        self.stacked = grown
        self._views.clear()

    def put(self, row: int, member: int, a: torch.Tensor) -> None:
        """Write a member's A into a row."""
        self.stacked[:, row][member, : len(a)] = a.to(self.stacked)
        self.rows |= 1 << row

    def clear(self, row: int) -> None:
        """Empty a row."""
        self.stacked[:, row].zero_()
        self.rows &= ~(1 << row)

    def shrink(self, x: torch.Tensor, member: int) -> list[torch.Tensor]:
        """(A x) ⊙ w for one member, per segment: [1, tokens, (stop - start)·r]. One product serves all members."""
        if self._input is not x:
            row = _in_one_row(x.contiguous()).to(self.stacked.dtype)
            self._hidden = [self._shrink_segment(row, segment) for segment in self._step.segments]
            # Holding on to the input makes `is` safe: its memory cannot become another tensor's meanwhile.
            self._input = x
        hidden = self._hidden
        if member == self._members - 1:
            self._input, self._hidden = None, []
        return [each[member] for each in hidden]

    def _shrink_segment(self, x: torch.Tensor, segment: Segment) -> Sequence[torch.Tensor]:
        """For every member a matrix that is ready for its B."""
        tokens = _take(segment, x)
        if self._members == 1:
            return (segment.weigh(torch.bmm(tokens, self._rows_of(segment))),)
        hidden = torch.bmm(tokens.expand(self._members, -1, -1), self._rows_of(segment))
        return torch.split(segment.weigh(hidden), 1)

    def _rows_of(self, segment: Segment) -> torch.Tensor:
        """[members, in_features, (stop - start)·r], a view; kept, because every step of a batch asks for the same."""
        key = segment.start, segment.stop
        if key not in self._views:
            self._views[key] = self.stacked[:, segment.start : segment.stop].flatten(1, 2).transpose(1, 2)
        return self._views[key]


class MultiLoraLinear(nn.Module):
    """A linear layer (of any kind, quantised too) followed by the stacked adapters' updates.

    `stacked` holds the B matrices, transposed and scaled: [K, r, out_features].
    """

    def __init__(self, base: nn.Module, shared: SharedA, member: int, step: LoraStep) -> None:
        super().__init__()
        self.base = base
        self.shared = shared
        self.member = member
        self._step = step
        self._out_features = linear_shape(base)[1]
        self._views: dict[tuple[int, int], torch.Tensor] = {}
        self.stacked = torch.empty(0, 0, self._out_features)
        self.rows = 0

    @property
    def weight(self) -> Any:
        """The base weight, because some models look at a layer's dtype."""
        return self.base.weight

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row, keeping what is there. `like` gives dtype and device."""
        grown = like.new_zeros(rows, r, self._out_features)
        grown[: self.stacked.shape[0], : self.stacked.shape[1]] = self.stacked
        self.stacked = grown
        self._views.clear()

    def put(self, row: int, pair: LoraPair) -> None:
        """Write a pair into a row."""
        self.shared.put(row, self.member, pair.a)
        self.stacked[row, : pair.r] = pair.scaled_b(self.stacked.device).to(self.stacked.dtype)
        self.rows |= 1 << row

    def clear(self, row: int) -> None:
        """Empty a row."""
        self.stacked[row].zero_()
        self.rows &= ~(1 << row)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        step = self._step
        if not self.rows & step.rows:
            return y
        row = _in_one_row(y)
        for segment, hidden in zip(step.segments, self.shared.shrink(x, self.member), strict=True):
            if self.rows & segment.rows:
                part, b = _take(segment, row), self._rows_of(segment)
                if b.dtype == y.dtype:
                    part.baddbmm_(hidden, b)
                else:
                    part += hidden @ b
        return y

    def _rows_of(self, segment: Segment) -> torch.Tensor:
        """[1, (stop - start)·r, out_features], a view."""
        key = segment.start, segment.stop
        if key not in self._views:
            self._views[key] = self.stacked[segment.start : segment.stop].view(1, -1, self._out_features)
        return self._views[key]


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """(in_features, out_features) of a linear layer, (0, 0) for any other module."""
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    if isinstance(module, nn.Linear):  # bitsandbytes' layers are subclasses
        return module.in_features, module.out_features
    return 0, 0


def _take(segment: Segment, tokens: torch.Tensor) -> torch.Tensor:
    """A segment's part of a step's tokens [1, tokens, ...]."""
    is_all = segment.end - segment.begin == tokens.shape[1]
    return tokens if is_all else tokens[:, segment.begin : segment.end]


def _in_one_row(x: torch.Tensor) -> torch.Tensor:
    """Tokens of any shape as [1, tokens, features], a view; which is how a step's tokens come."""
    return x if x.dim() == 3 and len(x) == 1 else x.view(1, -1, x.shape[-1])
