"""Runs one stage of learning between its two proofs: that it will train the right thing, and that it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, Trainer

from core.engine.chat_template import ChatTemplate
from core.engine.loading import LoadedBase
from training.anchor import set_weights
from training.dataset_builder import Example
from training.label_check import IGNORED_LABEL, check_labels, stop_token_ids
from training.progress import ReportProgress
from training.recipes import LearningRecipe
from training.safeguards import (
    LEARNER,
    REFERENCE,
    Weights,
    adapter_weights,
    check_changed,
    check_no_drift,
    check_prompts,
    check_reference,
    check_trainable,
)
from training.trainer_setup import StepReport, first_rows

# What TRL logs of a step, and the lineage keeps of the first and the last one.
KEPT = ("loss", "rewards/margins", "rewards/accuracies", "kl", "entropy")


@dataclass(frozen=True, slots=True)
class Bench:
    """What every stage works with. `model` carries the adapter that learns; `folder` is for a trainer's own files.

    `room`: how many rows of its A are there for corrections alone; 0 where they share those of the anchor.
    """

    base: LoadedBase
    model: PeftModel
    template: ChatTemplate
    recipe: LearningRecipe
    compute_dtype: torch.dtype
    folder: Path
    progress: ReportProgress
    room: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """A trainer that is ready to run.

    `prompts` belong to the rows of its dataset, one by one; `first` to those of a batch of the first rows, in its
    order. `facts` go into the lineage. Within `focus` it is trained.
    """

    name: str
    title: str
    trainer: Trainer
    prompts: Sequence[Example]
    first: Sequence[Example]
    has_reference: bool
    facts: dict[str, Any] = field(default_factory=dict)
    focus: Callable[[], AbstractContextManager[None]] = nullcontext


def run_stage(bench: Bench, stage: Stage, start: Weights) -> dict[str, Any]:
    """Train from `start`, prove it, and return what it measured. The model is left without a reference.

    Raises NothingTrainable, ReferenceNotAnchor, PromptNotAsServed and WrongLabels before it trains; ReferenceDrifted,
    AdapterUnchanged and NothingLearned after.
    """
    trainer, model = stage.trainer, bench.model
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(StepReport(bench.progress, stage.title, f"{len(stage.prompts)} rows"))
    set_weights(model, start)
    check_trainable(model, bench.base.name)
    if stage.has_reference:
        check_reference(model, start)
    check_prompts(trainer.train_dataset, stage.prompts, bench.template)
    _check_first_batch(bench, stage)
    began_s = time.monotonic()
    with stage.focus():
        trainer.train()
    change = check_changed(start, adapter_weights(model, LEARNER), stage.title)
    drift = {}
    if stage.has_reference:
        drift = {"reference_drift": check_no_drift(model, start)}
        model.delete_adapter(REFERENCE)
    return {
        "stage": stage.name,
        "rows": len(stage.prompts),
        "steps": trainer.state.global_step,
        "change": change,
        **drift,
        **_logged(trainer.state.log_history),
        **stage.facts,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _check_first_batch(bench: Bench, stage: Stage) -> None:
    """The proof of the mask that a training on rows has. Preference trainers have a mask in place of labels."""
    batch = stage.trainer.data_collator(first_rows(stage.trainer))
    labels = batch.get("labels")
    if labels is None:
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED_LABEL)
    stops = stop_token_ids(bench.base.model, bench.base.tokenizer)
    ids = batch["input_ids"]
    check_labels({"input_ids": ids, "labels": labels}, stage.first, bench.template, bench.base.tokenizer, stops)


def _logged(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first and last value of each figure. A margin stands only where a batch held both labels."""
    found: dict[str, Any] = {}
    for key in KEPT:
        values = [float(entry[key]) for entry in history if key in entry]
        if values:
            name = key.removeprefix("rewards/")
            found |= {f"first_{name}": round(values[0], 6), f"last_{name}": round(values[-1], 6)}
            found[f"mean_{name}"] = round(sum(values) / len(values), 6)
    return found
