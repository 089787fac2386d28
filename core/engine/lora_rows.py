"""The stacked adapters' updates of linear layers that were joined into one, on a CPU: each row is read once, in order.

    y += B (w · A x)        A: [K, in_features, members·r], B: [blocks, K, r, width]

There a decode step waits for memory and for operators to start, so every token looks up its own rows, all in one
operator: torch's embedding bags are weighed sums of rows, which is what the product of one token is. Rows that many
tokens share get a product of their own. A block is `width` neighbouring outputs of one member, so B holds no zeros.
Knows neither models nor adapter files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from core.engine.adapter_files import LoraPair
from core.engine.lora_step import LoraStep
from core.engine.program import Program
from core.engine.row_plan import Bags, Product


class LoraRows:
    """K rows for adapters on one joined layer. `columns` holds for each member where its outputs lie in the layer's."""

    def __init__(self, step: LoraStep, columns: Sequence[torch.Tensor], in_features: int, like: torch.Tensor) -> None:
        self._step = step
        self._columns = columns
        sizes = [len(each) for each in columns]
        self._width = math.gcd(*sizes)
        # Which member each block belongs to: a member's outputs lie together, in whatever order.
        self._members = tuple(at for at, size in enumerate(sizes) for _ in range(size // self._width))
        self._member_index = torch.tensor(self._members)
        self._r = 0
        self._a = like.new_empty(0, in_features, 0)
        self._b = like.new_empty(len(self._members), 0, 0, self._width)
        self.rows = 0

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row and member, keeping what is there. `like` gives dtype and device."""
        old_rows, in_features, _ = self._a.shape
        members = len(self._columns)
        a = like.new_zeros(rows, in_features, members, r)
        b = like.new_zeros(len(self._members), rows, r, self._width)
        if old_rows:
            a[:old_rows, :, :, : self._r] = self._a.view(old_rows, in_features, members, self._r)
            b[:, :old_rows, : self._r] = self._b
        self._a, self._b, self._r = a.flatten(2), b, r

    def put(self, row: int, member: int, pair: LoraPair) -> None:
        """Write a member's pair into a row."""
        begin = member * self._r
        self._a[row, :, begin : begin + pair.r] = pair.a.T.to(self._a)
        scaled = pair.scaled_b(self._b.device).to(self._b.dtype)
        first, count = self._members.index(member), self._members.count(member)
        columns = self._columns[member] - first * self._width
        ordered = torch.empty_like(scaled).index_copy_(1, columns, scaled)
        self._b[first : first + count, row, : pair.r] = ordered.view(pair.r, count, self._width).transpose(0, 1)
        self.rows |= 1 << row

    def clear(self, row: int) -> None:
        """Empty a row."""
        self._a[row].zero_()
        self._b[:, row].zero_()
        self.rows &= ~(1 << row)

    def bind(self, program: Program, y: torch.Tensor, x: torch.Tensor) -> None:
        """Add the step's updates to the layer's output. y: [tokens, out_features], x: [tokens, in_features]."""
        plan = self._step.plan
        if not self.rows & self._step.rows:
            return
        for product in plan.products:
            if self.rows & 1 << product.row:
                self._bind_product(program, y, x, product)
        if plan.bags is not None and self.rows & plan.bags.rows:
            self._bind_bags(program, y, x, plan.bags)

    def _bind_product(self, program: Program, y: torch.Tensor, x: torch.Tensor, product: Product) -> None:
        at = product.tokens
        if isinstance(at, slice):
            read, part = x[at], y[at]
        else:
            read = program.room("lora read", len(at), x.shape[1])
            part = program.room("lora part", len(at), y.shape[1])
            program.add(torch.index_select, x, 0, at, out=read)
            program.add(torch.index_select, y, 0, at, out=part)
        hidden = program.room("lora hidden", len(read), self._a.shape[2])
        program.add(torch.mm, read, self._a[product.row], out=hidden)
        if product.weight is not None:
            program.add(hidden.mul_, product.weight)
        inner = hidden.view(len(read), -1, self._r).transpose(0, 1)
        if len(self._members) > len(inner):
            spread = program.room("lora spread", len(self._members), len(read), self._r)
            program.add(torch.index_select, inner, 0, self._member_index, out=spread)
            inner = spread
        blocks = part.view(len(part), -1, self._width).transpose(0, 1)
        program.add(blocks.baddbmm_, inner, self._b[:, product.row])
        if not isinstance(at, slice):
            program.add(y.index_copy_, 0, at, part)

    def _bind_bags(self, program: Program, y: torch.Tensor, x: torch.Tensor, bags: Bags) -> None:
        read = x[: bags.count]
        if not bags.is_one_each:
            read = program.room("lora read", len(bags.tokens), x.shape[1])
            program.add(torch.index_select, x, 0, bags.tokens, out=read)
        hidden = program.room("lora hidden", len(read), self._a.shape[2])
        inputs, begins = bags.inputs(x.shape[1])
        program.store(hidden, _add_rows, self._a.flatten(0, 1), inputs, begins, read.view(-1))
        if bags.weights is not None:
            program.add(hidden.mul_, bags.weights)
        outputs, begins, order = bags.outputs(self._members, self._b.shape[1], self._r)
        scales = program.room("lora scales", len(order))
        program.add(torch.index_select, hidden.view(-1), 0, order, out=scales)
        blocks = y[: bags.count].view(-1, self._width)
        program.accumulate(blocks, _add_rows, self._b.view(-1, self._width), outputs, begins, scales)


def _add_rows(rows: torch.Tensor, indices: torch.Tensor, begins: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[bags, width]: a weighted sum of rows [n, width] for each bag of indices; each begins in that list where told."""
    # What torch.nn.functional.embedding_bag calls, without its checks, which take as long as the sums.
    sums: torch.Tensor = torch.embedding_bag(rows, indices, begins, False, 0, False, weights)[0]
    return sums
