"""Whether a training that was stopped may go on: only as what it was. Trains nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from core.engine.loading import LoadedBase, base_fingerprint
from core.errors import InvalidInput, NotFound
from core.personas import Persona
from training.checkpoint_file import Checkpoint, CheckpointFile, StageCheckpoint, differences
from training.recipes import RECIPE_VERSION, Recipe

PERSONA_DATA = "the persona's rows or system prompt"
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate")

logger = logging.getLogger(__name__)


class CannotResume(InvalidInput):
    """What is to be trained is no longer what was stopped."""


def former_checkpoint(
    checkpoints: CheckpointFile[Checkpoint], persona: Persona, *, is_resumed: bool
) -> Checkpoint | None:
    """The checkpoint to go on from. Where there is one that is not wanted, a line says so.

    Raises NotFound where there is none, InvalidData where it is damaged.
    """
    if not is_resumed:
        if (step := checkpoints.step()) is not None:
            logger.warning(
                "The training of %s that was stopped at step %d begins again; --resume would have gone on with it",
                persona.slug,
                step,
            )
        return None
    checkpoint = checkpoints.read()
    if checkpoint is None:
        raise NotFound(
            f"No training of {persona.slug} was stopped that --resume could go on with (there is no checkpoint in"
            f" {checkpoints.folder}); train without it."
        )
    return checkpoint


def identity_of(
    base: LoadedBase, recipe: Recipe, compute_dtype: torch.dtype, data: Mapping[str, str]
) -> dict[str, Any]:
    """What must be the same for a training to go on: everything that its lineage will say of it, in people's words.

    `data` are hashes of what is learned from, by what people call it.
    """
    return {
        "recipe": {**asdict(recipe), "the recipe's meaning": RECIPE_VERSION},
        **data,
        "the base model": base_fingerprint(base),
        "device": base.device.type,
        "dtype": dtype_name(compute_dtype),
        "quantisation": base.quantization.chosen,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def check_same(persona: Persona, resumed: Checkpoint | StageCheckpoint | None, identity: dict[str, Any]) -> None:
    """Raises CannotResume, with what has changed."""
    if resumed is not None and (changes := differences(resumed.identity, identity)):
        raise CannotResume(
            f"The training of {persona.slug} that was stopped at step {resumed.step} cannot go on:"
            f" {', '.join(changes)}; change that back, or train without --resume."
        )


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
