"""Trains a persona's LoRA adapter with TRL: `personas train SLUG`. Knows no registry's rules and never promotes.

The story is `train`, top to bottom: rows, model, trainer, proof of the labels, training, proof of the file, place,
measurement.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from core.engine.adapter_hash import LINEAGE_FILE, adapter_content_hash
from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.loading import LoadedBase
from core.engine.model_facts import context_limit
from core.engine.quantization import avoid_packed_kernel
from core.errors import InvalidSetting, PersonasError
from core.personas import Persona
from core.registry import read_lineage
from core.settings import Settings
from training.adapter_folder import (
    check_free_space,
    check_saved_adapter,
    move_into_place,
    partial_folder,
    save_adapter,
    write_json,
)
from training.data_files import TrainingRow, read_rows
from training.dataset_builder import PersonaDataset, build_dataset, to_columns
from training.first_measurement import add_figures, has_held_out_rows
from training.label_check import check_labels, stop_token_ids
from training.library_noise import quiet_libraries
from training.lineage import base_name, build_lineage, git_commit
from training.lora import lora_config
from training.progress import ProgressUpdate, ReportProgress, ignore_progress
from training.recipes import SFTRecipe, recipe_for

CHECKPOINTING_FROM_PARAMETERS = 100_000_000
HASH_CHARS = 12
ADAPTER = "adapter"

logger = logging.getLogger(__name__)


class TrainingStopped(PersonasError):
    """Someone pressed Ctrl-C; nothing was saved."""

    exit_code = 130


class NothingLearned(PersonasError):
    """The adapter is what it was before the training."""


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """A finished adapter version in its folder, not yet registered.

    `is_bundled`: it lies in the persona's own folder, where `Registry.sync_bundled` finds it; else it goes to
    `Registry.register`.
    """

    persona: str
    base_slug: str
    folder: Path
    content_hash: str
    lineage: dict[str, Any]
    is_bundled: bool


def train(
    persona: Persona,
    settings: Settings,
    *,
    bundle: bool = False,
    is_evaluated: bool = True,
    on_shipped: Callable[[], None] = lambda: None,
    progress: ReportProgress = ignore_progress,
    **overrides: Any,
) -> TrainedAdapter:
    """Train an adapter on the persona's rows and put it in its folder. `overrides` are fields of SFTRecipe; None leaves
    a field as the persona and the settings have it.

    `bundle` puts it in the persona's own folder, to be shipped in place of the one there, and calls `on_shipped`. It is
    measured once it is in its place; where that fails, a warning says so and the adapter stays.

    Raises InvalidSetting for a recipe or model that cannot be trained, InvalidData for bad rows, NotFound for a missing
    model or file, WrongLabels, NothingLearned, AdapterNotSaved, StoreUnavailable (disk) and TrainingStopped (Ctrl-C).
    Whatever is raised, no half-written adapter stays behind.
    """
    chosen = {name: value for name, value in overrides.items() if value is not None}
    chosen = {"quantization": settings.quantization, **chosen}
    recipe_for(persona, **chosen)  # what is wrong with it is said before a model is loaded
    rows = read_rows(persona.train_path)
    versions = settings.adapters_dir / persona.slug / settings.base_slug
    shipped = persona.adapter_folder(settings.base_slug)
    is_evaluated = is_evaluated and has_held_out_rows(persona, settings)
    commit = git_commit()  # now: what is edited while the training runs is not what trains
    try:
        with quiet_libraries(), partial_folder(shipped.parent if bundle else versions) as partial:
            base, model = _train_into(partial, persona, settings, chosen, rows, commit, progress)
            content_hash = adapter_content_hash(partial / ADAPTER)
            target = shipped if bundle else versions / content_hash[:HASH_CHARS]
            folder = move_into_place(partial / ADAPTER, target, is_replacing=bundle)
    except KeyboardInterrupt as error:
        raise TrainingStopped(f"The training of {persona.slug} was stopped; nothing was saved.") from error
    if bundle:
        on_shipped()
    # The same training gives the same weights: then the folder and its lineage are those of the first time.
    if is_evaluated:
        add_figures(folder, persona, settings, base, model, progress)
    lineage = read_lineage(folder)
    return TrainedAdapter(persona.slug, settings.base_slug, folder, content_hash, lineage, bundle)


def _train_into(
    partial: Path,
    persona: Persona,
    settings: Settings,
    chosen: Mapping[str, Any],
    rows: Sequence[TrainingRow],
    commit: str | None,
    progress: ReportProgress,
) -> tuple[LoadedBase, PeftModel]:
    """Train, leave the proven adapter with its lineage in `partial / ADAPTER`, and return what was trained."""
    base = load_configured_base(settings, quantization=chosen["quantization"])
    recipe = recipe_for(persona, base_parameters=base.model.num_parameters(), **chosen)
    recipe = replace(recipe, max_length=context_limit(base.model, recipe.max_length))
    template = ChatTemplate(base.tokenizer)
    dataset = build_dataset(persona, rows, template, max_length=recipe.max_length)
    if dataset.too_long:
        logger.warning(
            "%d of %d rows are longer than %d tokens and are left out",
            dataset.too_long,
            dataset.rows,
            recipe.max_length,
        )
    trainer = _build_trainer(base, template, dataset, recipe, partial / "run", progress)
    check_free_space(partial, trainer.get_num_trainable_parameters())
    _check_first_batch(trainer, dataset, template, base)
    metrics = _fit(trainer)
    adapter = partial / ADAPTER
    save_adapter(trainer.model, adapter, base_name(settings.base_model))
    first = template.encode(dataset.examples[0].prompt)
    check_saved_adapter(trainer.model, adapter, torch.tensor([first], device=base.device), is_exact=_is_exact(base))
    write_json(adapter / LINEAGE_FILE, build_lineage(persona, settings, base, dataset, recipe, commit, metrics))
    return base, trainer.model


def _build_trainer(
    base: LoadedBase,
    template: ChatTemplate,
    dataset: PersonaDataset,
    recipe: SFTRecipe,
    run_folder: Path,
    progress: ReportProgress,
) -> SFTTrainer:
    if base.device.type == "cuda" and torch.cuda.device_count() > 1:
        raise InvalidSetting(
            f"Training uses one GPU, but {torch.cuda.device_count()} are visible; set CUDA_VISIBLE_DEVICES=0, say."
        )
    avoid_packed_kernel(base.model, for_training=True)
    trainer = SFTTrainer(
        model=base.model,
        args=_arguments(base, recipe, run_folder),
        train_dataset=Dataset.from_dict(to_columns(dataset.examples, template)),
        processing_class=base.tokenizer,
        peft_config=lora_config(recipe, base.model),
        callbacks=[_ProgressCallback(progress)],
    )
    trainer.remove_callback(PrinterCallback)
    trainable = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    if not trainable:
        raise NothingLearned(f"{base.name} got an adapter without one trainable weight; please report it.")
    return trainer


def _arguments(base: LoadedBase, recipe: SFTRecipe, run_folder: Path) -> SFTConfig:
    is_checkpointing = recipe.gradient_checkpointing
    if is_checkpointing is None:
        is_checkpointing = base.model.num_parameters() >= CHECKPOINTING_FROM_PARAMETERS
    return SFTConfig(
        output_dir=str(run_folder),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_steps=1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        num_train_epochs=recipe.epochs,
        max_steps=-1 if recipe.max_steps is None else recipe.max_steps,
        max_length=recipe.max_length,
        activation_checkpointing=is_checkpointing,
        use_cpu=base.device.type == "cpu",
        bf16=base.dtype == torch.bfloat16,
        fp16=base.dtype == torch.float16,
        dataloader_pin_memory=base.device.type == "cuda",
        seed=recipe.seed,
        data_seed=recipe.seed,
        train_sampling_strategy="group_by_length",  # rows of like length share a batch: half as much padding
    )


def _check_first_batch(trainer: SFTTrainer, dataset: PersonaDataset, template: ChatTemplate, base: LoadedBase) -> None:
    examples = dataset.examples[: trainer.args.per_device_train_batch_size]
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(len(examples))])
    check_labels(batch, examples, template, base.tokenizer, stop_token_ids(base.model, base.tokenizer))


def _fit(trainer: SFTTrainer) -> dict[str, Any]:
    """Run the training. Raises NothingLearned when no B of the adapter has left zero, where LoRA starts it."""
    result = trainer.train()
    moved = [parameter.abs().max().item() for name, parameter in trainer.model.named_parameters() if "lora_B" in name]
    if not any(value > 0 for value in moved) or not all(math.isfinite(value) for value in moved):
        raise NothingLearned(
            "The training left the adapter as it was or broke it (its weights are zero or not finite); lower"
            " learning_rate or train more steps."
        )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "steps": trainer.state.global_step,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "mean_loss": result.training_loss,
        "seconds": round(result.metrics["train_runtime"], 1),
        "trainable_parameters": trainer.get_num_trainable_parameters(),
    }


def _is_exact(base: LoadedBase) -> bool:
    return base.dtype == torch.float32 and base.quantization.chosen == "none"


class _ProgressCallback(TrainerCallback):  # type: ignore[misc]  # transformers counts as untyped
    """Hands each optimiser step of the trainer to the caller's progress report."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._report(ProgressUpdate("Training", 0, state.max_steps))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is not None and "loss" in logs:
            self._report(ProgressUpdate("Training", state.global_step, state.max_steps, f"loss {logs['loss']:.3f}"))
