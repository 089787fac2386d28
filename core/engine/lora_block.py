"""The stacked adapters' updates of linear layers that were joined into one, as two products for the whole batch.

    y += ((A x) ⊙ w) B        A: [K, members·r, in_features], B: [K, members·r, out_features]

B is block-diagonal: the rows of a member are zero outside its own outputs, so that one product serves all members.
Knows neither models nor adapter files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from core.engine.adapter_files import LoraPair
from core.engine.lora_step import LoraStep
from core.engine.program import Program


class StackPart(Protocol):
    """Rows of the stack on one layer, or on some that read the same input."""

    rows: int

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None: ...

    def clear(self, row: int) -> None: ...


class JoinedLora(StackPart, Protocol):
    """Rows of the stack on layers that are computed as one: a LoraBlock, or LoraRows where a CPU decodes."""

    def put(self, row: int, member: int, pair: LoraPair) -> None: ...

    def bind(self, program: Program, y: torch.Tensor, x: torch.Tensor) -> None: ...


class LoraBlock:
    """K rows for adapters on one joined layer. `columns` holds for each member where its outputs lie in the layer's."""

    def __init__(self, step: LoraStep, columns: Sequence[torch.Tensor], in_features: int, like: torch.Tensor) -> None:
        self._step = step
        self._columns = columns
        self._r = 0
        self._views: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        self._a = like.new_empty(0, 0, in_features)
        self._b = like.new_empty(0, 0, sum(len(each) for each in columns))
        self._room = 0  # a bit mask of the rows that can be filled, as `rows` is of those that are
        self.rows = 0

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row and member, keeping what is there. `like` gives dtype and device."""
        self._a = self._grown(self._a, rows, r, like)
        self._b = self._grown(self._b, rows, r, like)
        self._r = r
        self._room = (1 << rows) - 1
        self._views.clear()

    def put(self, row: int, member: int, pair: LoraPair) -> None:
        """Write a member's pair into a row."""
        begin = member * self._r
        self._a[row, begin : begin + pair.r] = pair.a.to(self._a)
        scaled = pair.scaled_b(self._b.device).to(self._b.dtype)
        self._b[row, begin : begin + pair.r].index_copy_(1, self._columns[member], scaled)
        self.rows |= 1 << row

    def clear(self, row: int) -> None:
        """Empty a row."""
        self._a[row].zero_()
        self._b[row].zero_()
        self.rows &= ~(1 << row)

    def bind(self, program: Program, y: torch.Tensor, x: torch.Tensor) -> None:
        """Add the step's updates to the layer's output. y: [tokens, out_features], x: [tokens, in_features]."""
        rows = self._room if self._step.is_for_any else self.rows
        if not rows & self._step.rows:
            return
        for segment in self._step.segments:
            if rows & segment.rows:
                part = slice(segment.begin, segment.end)
                a, b = self._rows_of(segment.start, segment.stop)
                hidden = program.room("lora hidden", segment.end - segment.begin, a.shape[1])
                program.add(torch.mm, x[part], a, out=hidden)
                if segment.weights is not None:
                    program.add(segment.weigh, hidden)
                program.add(y[part].addmm_, hidden, b)

    def _rows_of(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """[in_features, n] and [n, out_features], views; kept, because every step of a batch asks for the same."""
        if (start, stop) not in self._views:
            self._views[start, stop] = self._a[start:stop].flatten(0, 1).T, self._b[start:stop].flatten(0, 1)
        return self._views[start, stop]

    def _grown(self, old: torch.Tensor, rows: int, r: int, like: torch.Tensor) -> torch.Tensor:
        members = len(self._columns)
        grown = like.new_zeros(rows, members, r, old.shape[2])
        grown[: len(old), :, : self._r] = old.view(len(old), members, self._r, -1) if len(old) else 0
        return grown.flatten(1, 2)
