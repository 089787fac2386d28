"""Which tokens of a step use which rows of the stacked adapters, and how strongly. Knows no layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from core.engine.row_plan import RowPlan


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring tokens [begin, end) of a step and the stack rows [start, stop) they use.

    `rows` is a bit mask of these rows. `weights` is [tokens, stop - start, 1], None where all are 1.
    """

    begin: int
    end: int
    start: int
    stop: int
    rows: int
    weights: torch.Tensor | None

    def weigh(self, hidden: torch.Tensor) -> torch.Tensor:
        """Multiply A's results [..., tokens, (stop - start)·n] with the tokens' weights, in place."""
        if self.weights is not None:
            hidden.view(*hidden.shape[:-1], self.stop - self.start, -1).mul_(self.weights)
        return hidden


@dataclass
class LoraStep:
    """What the current forward pass uses. Tokens outside the segments use no adapter. `plan` says the same by rows.

    `is_for_any`: the pass is recorded, and must be right for whatever the rows hold when it is repeated.
    """

    segments: tuple[Segment, ...] = ()
    rows: int = 0
    is_for_any: bool = False
    plan: RowPlan = field(default_factory=RowPlan)
