"""SFTRecipe: every number that decides how an adapter is trained. Knows no model and no data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.errors import InvalidSetting
from core.personas import Persona

MAX_R = 64
SMALL_BASE_PARAMETERS = 300_000_000
# What a small base wants otherwise: it learns simple, short replies only, and those in few steps at a high rate
# (docs/runs.md).
SMALL_BASE: dict[str, Any] = {"learning_rate": 1e-3, "max_length": 128, "batch_size": 8, "accumulation": 1}
RECIPE_VERSION = 1  # goes up when the same recipe trains otherwise than before: a stopped training cannot go on then
QUICK_ROWS = 640  # rows that a quick training reads, once each


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTRecipe:
    """Supervised fine-tuning of a LoRA adapter. Raises InvalidSetting naming everything that is wrong with it."""

    targets: Literal["attention", "all-linear"] = "attention"
    """Which layers get an adapter: the q, k, v and o projections, or every linear layer but the output head."""

    r: int = 16
    """Inner width of B·A. 64 at most: the engine's stack holds no wider adapter."""

    lora_alpha: int = 32
    """The product is scaled by lora_alpha/r."""

    lora_dropout: float = 0.05
    """Share of A's inputs dropped in training."""

    learning_rate: float = 2e-4
    """Peak of the cosine schedule; LoRA's optimum lies about ten times above full fine-tuning's
    (https://thinkingmachines.ai/blog/lora)."""

    epochs: float = 3.0
    """Passes over the rows, when max_steps does not end the run earlier."""

    max_steps: int | None = None
    """Optimiser steps at most; None is as many as the epochs need."""

    max_rows: int | None = None
    """Rows at most, spread over the file; None is all of them."""

    batch_size: int = 4
    """Rows in one forward pass on one device."""

    accumulation: int = 4
    """Forward passes per optimiser step: batch_size times accumulation rows make one step."""

    max_length: int = 1024
    """Tokens of prompt and reply, and no more than the model has positions; longer rows are left out, and counted in
    the lineage."""

    warmup_share: float = 0.03
    """Share of the steps in which the learning rate rises from zero."""

    weight_decay: float = 0.0
    """AdamW's decay of the adapter's weights."""

    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass: less memory, about a fifth slower. None is on where they do
    not fit into the memory that is free when the training begins."""

    seed: int = 0
    """Decides the adapter's start, the dropout and the order of the rows."""

    interpolation: float = 1.0
    """Share of the learned change that the adapter keeps: between the base model's weights, at 0, and the trained ones.
    Below 1 it gives back facts that the training overwrote, and costs little of the voice (WiSE-FT,
    https://arxiv.org/abs/2109.01903)."""

    quantization: Literal["auto", "none", "nf4", "int8"] = "auto"
    """How the frozen base model is stored while training."""

    def __post_init__(self) -> None:
        problems = [*self._range_problems(), *self._choice_problems()]
        if problems:
            raise InvalidSetting(f"This recipe cannot be trained: {'; '.join(problems)}.")

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.accumulation

    def quick(self) -> SFTRecipe:
        """The same recipe cut down to a first voice within minutes. Bounds that are set already stay."""
        steps = max(1, QUICK_ROWS // self.rows_per_step)
        return replace(self, max_steps=self.max_steps or steps, max_rows=self.max_rows or QUICK_ROWS)

    def _range_problems(self) -> list[str]:
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("r", self.r, 1, MAX_R),
            ("lora_alpha", self.lora_alpha, 1, 1024),
            ("lora_dropout", self.lora_dropout, 0, 0.9),
            ("learning_rate", self.learning_rate, 1e-8, 0.1),
            ("epochs", self.epochs, 1e-3, 1000),
            ("max_steps", 1 if self.max_steps is None else self.max_steps, 1, 10_000_000),
            ("max_rows", 1 if self.max_rows is None else self.max_rows, 1, 10_000_000),
            ("batch_size", self.batch_size, 1, 4096),
            ("accumulation", self.accumulation, 1, 4096),
            ("max_length", self.max_length, 16, 1_000_000),
            ("warmup_share", self.warmup_share, 0, 0.99),
            ("weight_decay", self.weight_decay, 0, 1),
            ("interpolation", self.interpolation, 0.01, 1),
            ("seed", self.seed, 0, 2**32 - 1),
        )
        return [
            f"{name} is {value:g}, but must lie between {low:g} and {high:g}"
            for name, value, low, high in limits
            if not (math.isfinite(value) and low <= value <= high)
        ]

    def _choice_problems(self) -> list[str]:
        choices = (
            ("targets", self.targets, ("attention", "all-linear")),
            ("quantization", self.quantization, ("auto", "none", "nf4", "int8")),
        )
        problems = [
            f'{name} is "{value}", but must be one of {", ".join(known)}'
            for name, value, known in choices
            if value not in known
        ]
        if self.r > 0 and self.lora_alpha / self.r > 64:
            problems.append(
                f"lora_alpha is {self.lora_alpha / self.r:g} times r, which no training survives; 2 is usual"
            )
        return problems


def recipe_for(persona: Persona, *, base_parameters: int | None = None, **overrides: Any) -> SFTRecipe:
    """The recipe for a base of so many parameters, with what the persona's [training] table and then the overrides
    change of it. Raises InvalidSetting."""
    is_small = base_parameters is not None and base_parameters < SMALL_BASE_PARAMETERS
    table = persona.file.training.model_dump(exclude_none=True)
    chosen: dict[str, Any] = {**(SMALL_BASE if is_small else {}), **table, **overrides}
    unknown = sorted(chosen.keys() - set(SFTRecipe.__dataclass_fields__))
    if unknown:
        raise InvalidSetting(
            f"A recipe has no {', '.join(unknown)}; it has {', '.join(SFTRecipe.__dataclass_fields__)}."
        )
    return SFTRecipe(**chosen)
