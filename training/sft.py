"""Trains a persona's LoRA adapter with TRL: `personas train SLUG`. Knows no registry's rules and never promotes.

The story is `_fit`, top to bottom: rows, model, trainer, proof of the labels, training. `run.py` does the rest.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.loading import LoadedBase
from core.engine.model_facts import context_limit
from core.personas import Persona
from core.settings import Settings
from training.adapter_folder import check_free_space
from training.checkpoint_file import Checkpoint, CheckpointFile
from training.data_files import TrainingRow, read_rows, spread
from training.dataset_builder import PersonaDataset, build_dataset, token_count
from training.first_measurement import has_held_out_rows
from training.label_check import check_labels, stop_token_ids
from training.lineage import build_lineage, git_commit
from training.lora import interpolate
from training.progress import ReportProgress, ignore_progress
from training.recipes import SFTRecipe, recipe_for
from training.resumable_trainer import CheckpointKeeper, ResumableTrainer
from training.resume_check import PERSONA_DATA, check_same, dtype_name, former_checkpoint, identity_of
from training.run import Fitted, TrainedAdapter, run_training
from training.safeguards import NothingLearned
from training.trainer_setup import (
    TokenReport,
    build_trainer,
    choose_compute_dtype,
    first_rows,
    share_prefixes_on,
    steps_in_epoch,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """What one training is asked to do."""

    persona: Persona
    settings: Settings
    recipe_on: Callable[[int], SFTRecipe]
    """The recipe for a base of so many parameters."""

    quantization: str
    rows: Sequence[TrainingRow]
    commit: str | None
    checkpoints: CheckpointFile[Checkpoint]
    resumed: Checkpoint | None
    progress: ReportProgress


def train(
    persona: Persona,
    settings: Settings,
    *,
    bundle: bool = False,
    is_evaluated: bool = True,
    is_quick: bool = False,
    is_resumed: bool = False,
    on_shipped: Callable[[], None] = lambda: None,
    progress: ReportProgress = ignore_progress,
    **overrides: Any,
) -> TrainedAdapter:
    """Train an adapter on the persona's rows and put it in its folder. `overrides` are fields of SFTRecipe; None leaves
    a field as the persona and the settings have it; `is_quick` cuts the recipe down to a first voice.

    `bundle` puts it in the persona's own folder, to be shipped in place of the one there, and calls `on_shipped`. It is
    measured once it is in its place; where that fails, a warning says so and the adapter stays.

    Raises InvalidSetting for a recipe or model that cannot be trained, InvalidData for bad rows, NotFound for a missing
    model or file, WrongLabels, NothingLearned, AdapterNotSaved, StoreUnavailable (disk), TrainingRuns (elsewhere) and
    TrainingStopped (Ctrl-C). Whatever is raised, no half-written adapter stays behind; a checkpoint does, from which
    `is_resumed` goes on. That raises NotFound where there is none, and CannotResume where it is of another training.
    """
    chosen = {"quantization": settings.quantization}
    chosen |= {name: value for name, value in overrides.items() if value is not None}

    def recipe_on(base_parameters: int | None) -> SFTRecipe:
        recipe = recipe_for(persona, base_parameters=base_parameters, **chosen)
        return recipe.quick() if is_quick else recipe

    max_rows = recipe_on(None).max_rows  # what is wrong with a recipe is said before a model is loaded
    rows = read_rows(persona.train_path)
    rows = rows if max_rows is None else spread(rows, max_rows)
    is_evaluated = is_evaluated and has_held_out_rows(persona, settings)
    commit = git_commit()  # now: what is edited while the training runs is not what trains
    checkpoints = CheckpointFile(settings.data_dir / "training" / persona.slug / settings.base_slug, Checkpoint)

    def fit(partial: Path) -> Fitted:
        resumed = former_checkpoint(checkpoints, persona, is_resumed=is_resumed)
        task = _Task(persona, settings, recipe_on, chosen["quantization"], rows, commit, checkpoints, resumed, progress)
        return _fit(partial, task)

    return run_training(
        persona,
        settings,
        checkpoints,
        fit,
        bundle=bundle,
        is_evaluated=is_evaluated,
        is_resumed=is_resumed,
        on_shipped=on_shipped,
        progress=progress,
    )


def _fit(partial: Path, task: _Task) -> Fitted:
    settings, persona = task.settings, task.persona
    base = load_configured_base(settings, quantization=task.quantization)
    recipe = task.recipe_on(base.model.num_parameters())
    recipe = replace(recipe, max_length=context_limit(base.model, recipe.max_length))
    template = ChatTemplate(base.tokenizer)
    dataset = build_dataset(persona, task.rows, template, max_length=recipe.max_length)
    if dataset.too_long:
        logger.warning(
            "%d of %d rows are longer than %d tokens and are left out",
            dataset.too_long,
            dataset.rows,
            recipe.max_length,
        )
    compute_dtype = choose_compute_dtype(base, settings.dtype)
    identity = identity_of(base, recipe, compute_dtype, {PERSONA_DATA: dataset.sha256})
    check_same(persona, task.resumed, identity)
    lengths = [token_count(example, template) for example in dataset.examples]
    trainer = build_trainer(base, template, dataset, lengths, recipe, partial / "run", compute_dtype)
    check_free_space(partial, trainer.get_num_trainable_parameters())
    _check_first_batch(trainer, dataset, template, base)
    share_prefixes_on(base, trainer)
    keeper = CheckpointKeeper(trainer, task.checkpoints, identity, resumed=task.resumed)
    trainer.add_callback(keeper)
    trainer.add_callback(_step_report(task, base, recipe, lengths, compute_dtype))
    metrics = {**_train(trainer, keeper, task.resumed, partial / "resumed"), "compute_dtype": dtype_name(compute_dtype)}
    interpolate(trainer.model, recipe.interpolation)
    first = template.encode(dataset.examples[0].prompt)
    data = {"sha256": dataset.sha256, "rows": dataset.rows, "rows_too_long": dataset.too_long}
    lineage = build_lineage(
        persona, settings, base, recipe, method="sft", data=data, commit=task.commit, metrics=metrics
    )
    return Fitted(base, trainer.model, first, lineage)


def _step_report(
    task: _Task, base: LoadedBase, recipe: SFTRecipe, lengths: Sequence[int], compute_dtype: torch.dtype
) -> TokenReport:
    device = "the CPU" if base.device.type == "cpu" else str(base.device)
    what = f"{len(lengths)} rows, {recipe.rows_per_step} a step, on {device} in {dtype_name(compute_dtype)}"
    return TokenReport(
        task.progress,
        what,
        tokens=task.resumed.tokens if task.resumed else 0,
        tokens_in_epoch=sum(lengths),
        steps_in_epoch=steps_in_epoch(recipe, len(lengths)),
    )


def _check_first_batch(
    trainer: ResumableTrainer, dataset: PersonaDataset, template: ChatTemplate, base: LoadedBase
) -> None:
    rows = first_rows(trainer)
    batch, examples = trainer.data_collator(rows), dataset.examples[: len(rows)]
    check_labels(batch, examples, template, base.tokenizer, stop_token_ids(base.model, base.tokenizer))


def _train(
    trainer: ResumableTrainer, keeper: CheckpointKeeper, resumed: Checkpoint | None, folder: Path
) -> dict[str, Any]:
    """Run the training. Raises NothingLearned when no B of the adapter has left zero, where LoRA starts it."""
    try:
        if resumed is None:
            trainer.train()
        else:
            trainer.resume(resumed, folder)
    except KeyboardInterrupt:
        keeper.save_now()
        raise
    moved = [parameter.abs().max().item() for name, parameter in trainer.model.named_parameters() if "lora_B" in name]
    if not any(value > 0 for value in moved) or not all(math.isfinite(value) for value in moved):
        keeper.discard()
        raise NothingLearned(
            "The training left the adapter as it was or broke it (its weights are zero or not finite); lower"
            " learning_rate or train more steps."
        )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "steps": trainer.state.global_step,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "mean_loss": sum(losses) / len(losses),
        "seconds": round(keeper.seconds, 1),
        "trainable_parameters": trainer.get_num_trainable_parameters(),
    }
