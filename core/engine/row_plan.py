"""Which tokens of a step look up which rows of the stacked adapters, and which rows get a product. Knows no layer."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

# A row that so many decoding tokens use is cheaper multiplied once than looked up by each. Where fewer tokens decode,
# the number of operators is what counts, and every row gets a product.
SHARED_BY = 4


def mask_of(rows: Iterable[int]) -> int:
    """A bit for each of these rows, which may come more than once."""
    return functools.reduce(lambda mask, row: mask | 1 << row, rows, 0)


@dataclass(frozen=True, slots=True)
class Product:
    """Tokens that use one row together. `weight` is [tokens, 1] or [1, 1], None where it is 1."""

    tokens: slice | torch.Tensor
    row: int
    weight: torch.Tensor | None


class Bags:
    """The other uses of rows by the first `count` tokens of a step. `uses`: for each token {row: weight}.

    `is_one_each`: every one of these tokens uses exactly one row.
    """

    def __init__(self, uses: Sequence[Mapping[int, float]]) -> None:
        self.count = len(uses)
        pairs = [(token, row, weight) for token, rows in enumerate(uses) for row, weight in rows.items()]
        self.rows = mask_of(row for _, row, _ in pairs)
        self.tokens = torch.tensor([token for token, _, _ in pairs])
        self.weights = _column([weight for _, _, weight in pairs])
        self._uses_by_token = [len(rows) for rows in uses]
        self.is_one_each = all(count == 1 for count in self._uses_by_token)
        self._row_of = torch.tensor([row for _, row, _ in pairs], dtype=torch.int32)
        self._inputs: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._outputs: dict[tuple[tuple[int, ...], int, int], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def inputs(self, in_features: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What each use reads of A as [K·in_features, n], and where in that list it begins."""
        if in_features not in self._inputs:
            features = torch.arange(in_features, dtype=torch.int32)
            index = (self._row_of.unsqueeze(1) * in_features + features).flatten()
            self._inputs[in_features] = index, torch.arange(0, len(index), in_features, dtype=torch.int32)
        return self._inputs[in_features]

    def outputs(self, members: tuple[int, ...], rows: int, r: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What each token's blocks read of B as [blocks·K·r, width], where they begin, and A's results in that order.

        `members`: which one each block belongs to. A's results are [uses, number of members, r].
        """
        key = members, rows, r
        if key not in self._outputs:
            self._outputs[key] = self._make_outputs(torch.tensor(members), rows, r)
        return self._outputs[key]

    def _make_outputs(
        self, members: torch.Tensor, rows: int, r: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        uses_of_token = torch.split(torch.arange(len(self.tokens)), self._uses_by_token)
        blocks, ranks = torch.arange(len(members)).view(-1, 1, 1), torch.arange(r)
        count = int(members.max()) + 1
        index = [((blocks * rows + self._row_of[uses].view(-1, 1)) * r + ranks).flatten() for uses in uses_of_token]
        order = [((uses.view(-1, 1) * count + members.view(-1, 1, 1)) * r + ranks).flatten() for uses in uses_of_token]
        sizes = torch.tensor(self._uses_by_token).repeat_interleave(len(members)) * r
        return torch.cat(index).int(), (sizes.cumsum(0) - sizes).int(), torch.cat(order)


@dataclass(frozen=True, slots=True)
class RowPlan:
    """What one step does with the rows: products, and bags for tokens with rows of their own."""

    products: tuple[Product, ...] = ()
    bags: Bags | None = None


def plan_rows(parts: Sequence[tuple[int, Mapping[int, float]]]) -> RowPlan:
    """`parts`: how many tokens each part of a step has, and the rows it uses {row: weight}; single tokens first."""
    singles = list(itertools.takewhile(lambda part: part[0] == 1, parts))
    users: dict[int, list[int]] = defaultdict(list)
    for token, (_, rows) in enumerate(singles):
        for row in rows:
            users[row].append(token)
    fewest = SHARED_BY if len(singles) >= SHARED_BY else 1
    shared = {row for row, tokens in users.items() if len(tokens) >= fewest}
    products = [
        Product(_at(tokens), row, _column([singles[token][1][row] for token in tokens]))
        for row, tokens in users.items()
        if row in shared
    ]
    begin = len(singles)
    for count, rows in parts[begin:]:
        products += [Product(slice(begin, begin + count), row, _column([weight])) for row, weight in rows.items()]
        begin += count
    own = [{row: weight for row, weight in rows.items() if row not in shared} for _, rows in singles]
    return RowPlan(tuple(products), Bags(own) if any(own) else None)


def _at(tokens: Sequence[int]) -> slice | torch.Tensor:
    """Where these tokens are; a slice for neighbours, which needs no copy."""
    begin, end = tokens[0], tokens[-1] + 1
    return slice(begin, end) if len(tokens) == end - begin else torch.tensor(tokens)


def _column(weights: Sequence[float]) -> torch.Tensor | None:
    """[len(weights), 1], None where all are 1."""
    return None if all(weight == 1 for weight in weights) else torch.tensor(weights).unsqueeze(1)
