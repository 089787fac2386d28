"""Builds the trainer of a recipe: TRL's arguments, what they cost this machine, and the report of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig

from core.engine.chat_template import ChatTemplate
from core.engine.cpu_features import has_fast_bf16
from core.engine.loading import LoadedBase
from core.engine.quantization import avoid_packed_kernel
from core.errors import InvalidSetting
from training.activation_memory import has_room_for_activations
from training.dataset_builder import PersonaDataset, to_columns
from training.lora import lora_config
from training.progress import ProgressUpdate, ReportProgress
from training.recipes import Recipe, SFTRecipe
from training.resumable_trainer import ResumableTrainer
from training.safeguards import check_trainable
from training.shared_prefix import share_prefixes

UNIT = "step"


def build_trainer(
    base: LoadedBase,
    template: ChatTemplate,
    dataset: PersonaDataset,
    lengths: Sequence[int],
    recipe: SFTRecipe,
    run_folder: Path,
    compute_dtype: torch.dtype,
) -> ResumableTrainer:
    """The trainer of a recipe on these rows, `lengths` tokens each, its adapter freshly drawn from the recipe's seed.

    Raises InvalidSetting for a machine or model that this cannot train on, NothingLearned where nothing could learn.
    """
    refuse_several_gpus(base)
    avoid_packed_kernel(base.model, for_training=True)
    trainer = ResumableTrainer(
        model=base.model,
        args=_arguments(base, recipe, lengths, run_folder, compute_dtype),
        train_dataset=Dataset.from_dict(to_columns(dataset.examples, template)),
        processing_class=base.tokenizer,
        peft_config=lora_config(recipe, base.model),
    )
    trainer.remove_callback(PrinterCallback)
    check_trainable(trainer.model, base.name)
    return trainer


def refuse_several_gpus(base: LoadedBase) -> None:
    """Raises InvalidSetting where torch would spread a training over GPUs."""
    if base.device.type == "cuda" and torch.cuda.device_count() > 1:
        raise InvalidSetting(
            f"Training uses one GPU, but {torch.cuda.device_count()} are visible; set CUDA_VISIBLE_DEVICES=0, say."
        )


def choose_compute_dtype(base: LoadedBase, dtype: str) -> torch.dtype:
    """What a training multiplies in, where `dtype` is the setting. The adapter's own weights stay in fp32.

    Unlike serving, a training need not be exact in any company: where the CPU multiplies bf16, "auto" is that.
    """
    is_free = dtype == "auto" and base.device.type == "cpu" and base.dtype == torch.float32
    return torch.bfloat16 if is_free and has_fast_bf16() else base.dtype


def steps_in_epoch(recipe: SFTRecipe, rows: int) -> int:
    batches = math.ceil(rows / recipe.batch_size)
    return math.ceil(batches / recipe.accumulation)


def first_rows(trainer: Trainer) -> list[dict[str, Any]]:
    """The rows of the first batch, as they lie in the dataset."""
    count = min(trainer.args.per_device_train_batch_size, len(trainer.train_dataset))
    return [trainer.train_dataset[index] for index in range(count)]


def share_prefixes_on(base: LoadedBase, trainer: Trainer) -> None:
    """Have the trainer share prefixes where tokens are what costs, and a batch's other tokens change no row's loss."""
    if base.device.type == "cpu" and base.quantization.chosen == "none":  # int8 rounds by all tokens of a batch
        share_prefixes(trainer, first_rows(trainer))


def common_arguments(
    base: LoadedBase, recipe: Recipe, lengths: Sequence[int], run_folder: Path, compute_dtype: torch.dtype
) -> dict[str, Any]:
    """What every trainer of TRL's is told; `lengths` are the rows' tokens."""
    return {
        "output_dir": str(run_folder),
        "save_strategy": "no",  # the trainer's own checkpoints are pickles; we write our own
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 1,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup_share,
        "weight_decay": recipe.weight_decay,
        "max_length": recipe.max_length,
        "activation_checkpointing": _is_checkpointing(base, recipe, lengths),
        "use_cpu": base.device.type == "cpu",
        "bf16": compute_dtype == torch.bfloat16,
        "fp16": compute_dtype == torch.float16,
        "dataloader_pin_memory": base.device.type == "cuda",
        "seed": recipe.seed,
        "data_seed": recipe.seed,
    }


def _arguments(
    base: LoadedBase, recipe: SFTRecipe, lengths: Sequence[int], run_folder: Path, compute_dtype: torch.dtype
) -> SFTConfig:
    return SFTConfig(
        **common_arguments(base, recipe, lengths, run_folder, compute_dtype),
        learning_rate=recipe.learning_rate,
        num_train_epochs=recipe.epochs,
        max_steps=_step_bound(recipe, len(lengths)),
        train_sampling_strategy="group_by_length",  # rows of like length share a batch: half as much padding
    )


def _is_checkpointing(base: LoadedBase, recipe: Recipe, lengths: Sequence[int]) -> bool:
    """Whether activations are computed twice: as the recipe says, else where memory asks for it."""
    if recipe.gradient_checkpointing is not None:
        return recipe.gradient_checkpointing
    return not has_room_for_activations(base.model, lengths, recipe.batch_size, base.device)


def _step_bound(recipe: SFTRecipe, rows: int) -> int:
    """transformers trains as many steps as it is told, however many epochs that are; here it is a bound."""
    steps = math.ceil(recipe.epochs * steps_in_epoch(recipe, rows))
    return -1 if recipe.max_steps is None or recipe.max_steps >= steps else recipe.max_steps


class StepReport(TrainerCallback):  # type: ignore[misc]  # transformers counts as untyped
    """Hands each optimiser step of a trainer to the caller's progress report; `what` is said before the first."""

    def __init__(self, report: ReportProgress, stage: str, what: str) -> None:
        self._report, self._stage, self._what = report, stage, what

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._tell(state, self._what, {})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is not None and "loss" in logs:
            self._tell(state, f"loss {logs['loss']:.3f}", logs)

    def share(self, state: TrainerState, logs: Mapping[str, float]) -> float | None:
        """How much of the work is done; None where steps are alike."""
        return None

    def _tell(self, state: TrainerState, note: str, logs: Mapping[str, float]) -> None:
        share = self.share(state, logs)
        self._report(ProgressUpdate(self._stage, state.global_step, state.max_steps, note, UNIT, share))


class TokenReport(StepReport):
    """Counts a step's share in tokens, for batches of long rows come first.

    `tokens` are those that were trained before this process, `tokens_in_epoch` those of all rows.
    """

    def __init__(
        self, report: ReportProgress, what: str, *, tokens: int, tokens_in_epoch: int, steps_in_epoch: int
    ) -> None:
        super().__init__(report, "Training", what)
        self._tokens = tokens
        self._tokens_per_step = tokens_in_epoch / steps_in_epoch

    def share(self, state: TrainerState, logs: Mapping[str, float]) -> float:
        tokens = self._tokens + int(logs.get("num_tokens", 0))
        total: float = self._tokens_per_step * state.max_steps
        return min(1.0, tokens / total)
