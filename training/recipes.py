"""Recipes: every number that decides how an adapter is trained. They know no model and no data."""

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
SMALL_BASE_LEARNING: dict[str, Any] = {
    "sft_learning_rate": 1.5e-3,
    "sft_directions": 16,
    "dpo_learning_rate": 2e-4,
    "kto_learning_rate": 2e-4,
    "max_length": 256,
}
RECIPE_VERSION = 2  # goes up when the same recipe trains otherwise than before: a stopped training cannot go on then
QUICK_ROWS = 640  # rows that a quick training reads, once each


Limits = tuple[tuple[str, float, float, float], ...]  # name, value, lowest, highest
Choices = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What every training decides. Raises InvalidSetting naming everything that is wrong with it."""

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

    quantization: Literal["auto", "none", "nf4", "int8"] = "auto"
    """How the frozen base model is stored while training."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value:g}, but must lie between {low:g} and {high:g}"
            for name, value, low, high in self._limits()
            if not (math.isfinite(value) and low <= value <= high)
        ]
        problems += [
            f'{name} is "{value}", but must be one of {", ".join(known)}'
            for name, value, known in self._choices()
            if value not in known
        ]
        problems += self._other_problems()
        if problems:
            raise InvalidSetting(f"This recipe cannot be trained: {'; '.join(problems)}.")

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.accumulation

    def _limits(self) -> Limits:
        return (
            ("batch_size", self.batch_size, 1, 4096),
            ("accumulation", self.accumulation, 1, 4096),
            ("max_length", self.max_length, 16, 1_000_000),
            ("warmup_share", self.warmup_share, 0, 0.99),
            ("weight_decay", self.weight_decay, 0, 1),
            ("seed", self.seed, 0, 2**32 - 1),
        )

    def _choices(self) -> Choices:
        return (("quantization", self.quantization, ("auto", "none", "nf4", "int8")),)

    def _other_problems(self) -> list[str]:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTRecipe(Recipe):
    """Supervised fine-tuning of a new LoRA adapter."""

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

    interpolation: float = 1.0
    """Share of the learned change that the adapter keeps: between the base model's weights, at 0, and the trained ones.
    Below 1 it gives back facts that the training overwrote, and costs little of the voice (WiSE-FT,
    https://arxiv.org/abs/2109.01903)."""

    def quick(self) -> SFTRecipe:
        """The same recipe cut down to a first voice within minutes. Bounds that are set already stay."""
        steps = max(1, QUICK_ROWS // self.rows_per_step)
        return replace(self, max_steps=self.max_steps or steps, max_rows=self.max_rows or QUICK_ROWS)

    def _limits(self) -> Limits:
        return (
            *Recipe._limits(self),
            ("r", self.r, 1, MAX_R),
            ("lora_alpha", self.lora_alpha, 1, 1024),
            ("lora_dropout", self.lora_dropout, 0, 0.9),
            ("learning_rate", self.learning_rate, 1e-8, 0.1),
            ("epochs", self.epochs, 1e-3, 1000),
            ("max_steps", 1 if self.max_steps is None else self.max_steps, 1, 10_000_000),
            ("max_rows", 1 if self.max_rows is None else self.max_rows, 1, 10_000_000),
            ("interpolation", self.interpolation, 0.01, 1),
        )

    def _choices(self) -> Choices:
        return (*Recipe._choices(self), ("targets", self.targets, ("attention", "all-linear")))

    def _other_problems(self) -> list[str]:
        if self.r > 0 and self.lora_alpha / self.r > 64:
            return [f"lora_alpha is {self.lora_alpha / self.r:g} times r, which no training survives; 2 is usual"]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRecipe(Recipe):
    """Learning from feedback: SFT on corrected replies, DPO on preferred ones, KTO on judged ones, from an adapter.

    Rates are for LoRA, ten times those of full fine-tuning. The shares are what keeps the persona itself: without rows
    of its own in the mixture, a model forgets what nobody voted on.
    """

    batch_size: int = 8
    """Rows in one forward pass. KTO compares each row with its neighbours in the batch, so 2 at least."""

    accumulation: int = 1
    """Forward passes per optimiser step: feedback is little, and few rows should make more than one step."""

    sft_learning_rate: float = 2e-4
    """Peak rate on corrected replies."""

    sft_passes: int = 16
    """Passes over the corrected replies at most, each in other wordings and among other rows of the persona. The stage
    ends as soon as they are learned (corrections.py)."""

    sft_replay_share: float = 0.5
    """Share of a pass over corrected replies that are the persona's own training rows, most of them asked alike; what
    the anchor says there is held."""

    sft_contrast_share: float = 0.1
    """Share of such a pass that the anchor answers itself, plain questions; what it says there is held."""

    sft_directions: int = 0
    """Corrections are learned in so many new directions of each layer's input, which what the persona says otherwise
    uses little (free_directions.py), and make the adapter's r larger by as much; 0 is in all directions. It costs a
    matrix of each layer's inputs by its inputs, so larger bases do without."""

    dpo_learning_rate: float = 5e-5
    """Peak rate on pairs (Open Character Training, https://arxiv.org/abs/2511.01689, uses this one for LoRA)."""

    dpo_beta: float = 0.1
    """How hard DPO is held to the adapter it began with; larger is closer."""

    dpo_sft_weight: float = 0.1
    """Weight of the chosen reply's own likelihood beside DPO's loss: without it, both replies become unlikely."""

    dpo_epochs: float = 2.0
    """Passes over the pairs."""

    kto_learning_rate: float = 1e-5
    """Peak rate on judged replies."""

    kto_beta: float = 0.1
    """How hard KTO is held to the adapter it began with; larger is closer."""

    kto_epochs: float = 1.0
    """Passes over the judged replies."""

    kto_max_weight: float = 4.0
    """How much more a label may count than the other where one is rare (KTO's Eq. 8): three thumbs down among
    hundreds of thumbs up must not decide everything."""

    replay_share: float = 0.3
    """Share of the judged replies' company that are the persona's own training rows; 0 is none. DPO has none: they are
    no pairs."""

    contrast_share: float = 0.1
    """Share of the judged replies' company that the base model writes, as thumbs down, which keeps the voice."""

    contrast_max_tokens: int = 64
    """Tokens of such an answer at most."""

    interpolation: float = 1.0
    """Share of the learned change that the adapter keeps: between the anchor's weights, at 0, and the trained ones.
    Below 1 it gives back what the learning overwrote (see SFTRecipe)."""

    def _limits(self) -> Limits:
        return (
            *Recipe._limits(self),
            ("batch_size", self.batch_size, 2, 4096),
            ("sft_learning_rate", self.sft_learning_rate, 1e-8, 0.1),
            ("sft_passes", self.sft_passes, 1, 1000),
            ("sft_replay_share", self.sft_replay_share, 0, 0.9),
            ("sft_contrast_share", self.sft_contrast_share, 0, 0.9),
            ("sft_directions", self.sft_directions, 0, MAX_R),
            ("dpo_learning_rate", self.dpo_learning_rate, 1e-8, 0.1),
            ("dpo_beta", self.dpo_beta, 1e-3, 10),
            ("dpo_sft_weight", self.dpo_sft_weight, 0, 10),
            ("dpo_epochs", self.dpo_epochs, 1e-3, 1000),
            ("kto_learning_rate", self.kto_learning_rate, 1e-8, 0.1),
            ("kto_beta", self.kto_beta, 1e-3, 10),
            ("kto_epochs", self.kto_epochs, 1e-3, 1000),
            ("kto_max_weight", self.kto_max_weight, 1, 1000),
            ("replay_share", self.replay_share, 0, 0.9),
            ("contrast_share", self.contrast_share, 0, 0.9),
            ("contrast_max_tokens", self.contrast_max_tokens, 1, 4096),
            ("interpolation", self.interpolation, 0.01, 1),
        )

    def _other_problems(self) -> list[str]:
        kinds = {
            "replay_share and contrast_share": self.replay_share + self.contrast_share,
            "sft_replay_share and sft_contrast_share": self.sft_replay_share + self.sft_contrast_share,
        }
        return [f"{names} are {both:g}, which leaves no feedback" for names, both in kinds.items() if both > 0.95]


def recipe_for(persona: Persona, *, base_parameters: int | None = None, **overrides: Any) -> SFTRecipe:
    """The recipe for a base of so many parameters, with what the persona's [training] table and then the overrides
    change of it. Raises InvalidSetting."""
    is_small = base_parameters is not None and base_parameters < SMALL_BASE_PARAMETERS
    table = persona.file.training.model_dump(exclude_none=True)
    chosen: dict[str, Any] = {**(SMALL_BASE if is_small else {}), **table, **overrides}
    _refuse_unknown(SFTRecipe, chosen)
    return SFTRecipe(**chosen)


def learning_recipe_for(*, base_parameters: int | None = None, **overrides: Any) -> LearningRecipe:
    """The recipe for learning from feedback on a base of so many parameters. Raises InvalidSetting."""
    is_small = base_parameters is not None and base_parameters < SMALL_BASE_PARAMETERS
    chosen = {**(SMALL_BASE_LEARNING if is_small else {}), **overrides}
    _refuse_unknown(LearningRecipe, chosen)
    return LearningRecipe(**chosen)


def _refuse_unknown(kind: type[Recipe], chosen: dict[str, Any]) -> None:
    if unknown := sorted(chosen.keys() - set(kind.__dataclass_fields__)):
        raise InvalidSetting(f"A recipe has no {', '.join(unknown)}; it has {', '.join(kind.__dataclass_fields__)}.")
