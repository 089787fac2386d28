"""Makes a better adapter of what people said: `personas retrain SLUG`. Knows no store, and never promotes.

The story is `_fit`, top to bottom: rows, anchor, room for corrections, contrast, then up to three stages, each only
where it has rows: SFT on corrected replies, DPO on preferred ones, KTO on judged ones. Every round begins with the same
anchor and takes all the feedback there is. What a stage has made is kept: a learning that was killed goes on with the
stage that it was in.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.model_facts import context_limit
from core.errors import InvalidData, InvalidInput, NotFound
from core.personas import Persona
from core.settings import Settings
from training.adapter_folder import check_free_space
from training.anchor import Anchor, between, find_anchor, load_anchor, set_weights
from training.checkpoint_file import CheckpointFile, StageCheckpoint
from training.data_files import read_rows
from training.dataset_builder import Example, PersonaDataset, build_dataset, dataset_hash
from training.feedback_set import FeedbackSet
from training.learning_rows import FeedbackReader, LearningRows, feedback_hash
from training.learning_stages import make_room, plan_stages, write_contrast
from training.lineage import build_lineage, git_commit
from training.progress import ReportProgress, ignore_progress
from training.recipes import LearningRecipe, learning_recipe_for
from training.resume_check import PERSONA_DATA, CannotResume, check_same, dtype_name, identity_of
from training.run import Fitted, TrainedAdapter, run_training
from training.safeguards import LEARNER, Weights, adapter_weights, check_changed
from training.stage import Bench, run_stage
from training.trainer_setup import choose_compute_dtype, refuse_several_gpus

logger = logging.getLogger(__name__)


class NothingToLearn(InvalidData):
    """No feedback is left that could be trained on."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What one learning is asked to do."""

    persona: Persona
    settings: Settings
    feedback: FeedbackSet
    anchor: Anchor
    chosen: dict[str, Any]
    commit: str | None
    checkpoints: CheckpointFile[StageCheckpoint]
    is_resumed: bool
    progress: ReportProgress


def learn(
    persona: Persona,
    settings: Settings,
    feedback: FeedbackSet,
    *,
    anchor: Path | None = None,
    is_resumed: bool = False,
    progress: ReportProgress = ignore_progress,
    **overrides: Any,
) -> TrainedAdapter:
    """Train the anchor on this feedback and put the new adapter in its folder. `overrides` are fields of
    LearningRecipe; None leaves one as it is. Without `anchor` it is the adapter that was trained last from rows, else
    the shipped one.

    `is_resumed` goes on behind the last stage that was finished, and begins at the start where none was. Raises
    InvalidSetting for a recipe or model that cannot be trained, InvalidInput for feedback of another persona or base
    model, NothingToLearn, NotAnAnchor, NotFound (no adapter to begin with), AdapterRejected, CannotResume, what
    `run_training` raises, and the named errors of safeguards.py. Whatever is raised, nothing half-written stays.
    """
    chosen: dict[str, Any] = {"quantization": settings.quantization}
    chosen |= {name: value for name, value in overrides.items() if value is not None}
    learning_recipe_for(**chosen)  # what is wrong with it is said before a model is loaded
    if (feedback.persona, feedback.base_slug) != (persona.slug, settings.base_slug):
        raise InvalidInput(
            f"This feedback is {feedback.persona}'s on {feedback.base_slug}, and cannot teach {persona.slug} on"
            f" {settings.base_slug}."
        )
    if not (feedback.corrected or feedback.preferred or feedback.judged):
        raise NothingToLearn(f"There is no feedback on {persona.slug} that may be learned from.")
    checkpoints = CheckpointFile(settings.data_dir / "learning" / persona.slug / settings.base_slug, StageCheckpoint)
    found = find_anchor(persona, settings, anchor)
    task = _Task(persona, settings, feedback, found, chosen, git_commit(), checkpoints, is_resumed, progress)
    return run_training(
        persona,
        settings,
        checkpoints,
        lambda partial: _fit(partial, task),
        is_evaluated=False,  # that is the gate's, in full
        is_resumed=is_resumed,
        progress=progress,
    )


def _fit(partial: Path, task: _Task) -> Fitted:
    persona, settings = task.persona, task.settings
    resumed = _former(task)
    base = load_configured_base(settings, quantization=task.chosen["quantization"])
    refuse_several_gpus(base)
    recipe = learning_recipe_for(base_parameters=base.model.num_parameters(), **task.chosen)
    recipe = replace(recipe, max_length=context_limit(base.model, recipe.max_length))
    template = ChatTemplate(base.tokenizer)
    rows = _read_rows(task, template, recipe)
    replay = _replay(persona, template, recipe)
    compute_dtype = choose_compute_dtype(base, settings.dtype)
    sources = {
        PERSONA_DATA: replay.sha256,
        "the feedback": feedback_hash(task.feedback),
        "the anchor": task.anchor.content_hash,
    }
    identity = identity_of(base, recipe, compute_dtype, sources)
    check_same(persona, resumed, identity)
    model = load_anchor(base, task.anchor, settings)
    bench = Bench(base, model, template, recipe, compute_dtype, partial / "run", task.progress)
    bench = replace(bench, room=make_room(bench, persona, rows, replay.examples))
    check_free_space(partial, sum(one.numel() for one in model.parameters() if one.requires_grad))
    began = adapter_weights(model, LEARNER)
    metrics = _run_stages(task, bench, rows, replay.examples, identity, resumed, began)
    ended = between(began, adapter_weights(model, LEARNER), recipe.interpolation)
    set_weights(model, ended)
    change = check_changed(_as_saved(began), _as_saved(ended), "Learning")  # small steps may be lost in bf16
    data = {
        "sha256": sources["the feedback"],
        "manifest": task.feedback.manifest,
        "corrected": len(rows.corrected),
        "preferred": len(rows.preferred),
        "judged": len(rows.judged),
        "left_out": rows.left_out,
        "replay": {"sha256": replay.sha256, "rows": replay.rows, "rows_too_long": replay.too_long},
    }
    lineage = build_lineage(
        persona,
        settings,
        base,
        recipe,
        method="feedback",
        data=data,
        commit=task.commit,
        metrics={"stages": metrics, "change": change, "compute_dtype": dtype_name(compute_dtype)},
        parents=[task.anchor.content_hash],
    )
    return Fitted(base, model, template.encode(_first_example(rows).prompt), lineage)


def _former(task: _Task) -> StageCheckpoint | None:
    """Where to go on from; None where nothing was kept, or nothing of it is wanted. Raises CannotResume for damage."""
    if not task.is_resumed:
        return None
    try:
        return task.checkpoints.read()
    except InvalidData as error:
        raise CannotResume(str(error)) from error


def _read_rows(task: _Task, template: ChatTemplate, recipe: LearningRecipe) -> LearningRows:
    rows = FeedbackReader(task.persona, template, max_length=recipe.max_length).read(task.feedback)
    if rows.left_out:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in rows.left_out.items())
        logger.warning("Some feedback on %s cannot be trained on and is left out (%s)", task.persona.slug, reasons)
    if not (rows.corrected or rows.preferred or rows.judged):
        raise NothingToLearn(
            f"No feedback on {task.persona.slug} can be trained on: {rows.left_out}; raise max_length where it is too"
            " long, or wait for more."
        )
    return rows


def _replay(persona: Persona, template: ChatTemplate, recipe: LearningRecipe) -> PersonaDataset:
    """The persona's own rows; none where it has none. Raises InvalidData for bad rows, and where none fits."""
    try:
        rows = read_rows(persona.train_path)
    except NotFound as error:
        logger.warning("Nothing of the persona's own is replayed, so that it may lose its voice: %s", error)
        return PersonaDataset((), dataset_hash(persona, ()), 0, 0)
    return build_dataset(persona, rows, template, max_length=recipe.max_length)


def _first_example(rows: LearningRows) -> Example:
    examples = (*rows.corrected, *(pair.chosen for pair in rows.preferred), *(one.example for one in rows.judged))
    return examples[0]


def _run_stages(
    task: _Task,
    bench: Bench,
    rows: LearningRows,
    replay: tuple[Example, ...],
    identity: dict[str, Any],
    resumed: StageCheckpoint | None,
    start: Weights,
) -> list[dict[str, Any]]:
    """Run what is not finished yet, each stage from where the last one ended. Returns what all of them measured."""
    began_s, before_s = time.monotonic(), resumed.seconds if resumed else 0.0
    metrics = list(resumed.metrics) if resumed else []
    contrast = resumed.contrast if resumed else write_contrast(bench, task.persona, rows, replay)

    def keep(weights: Weights) -> None:
        """A disk that is full ends no learning: it goes on, and a warning says what cannot be had then."""
        seconds = before_s + time.monotonic() - began_s
        tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
        try:
            task.checkpoints.write(StageCheckpoint(len(metrics), identity, metrics, contrast, seconds, tensors))
        except (OSError, SafetensorError) as error:
            logger.warning("The learning goes on, but could not be resumed from here: %s", error)

    if resumed:
        start = resumed.tensors
        set_weights(bench.model, start)
    else:
        keep(start)
    for build in plan_stages(bench, task.persona, rows, replay, contrast)[len(metrics) :]:
        metrics.append(run_stage(bench, build(), start))
        start = adapter_weights(bench.model, LEARNER)
        keep(start)
    return metrics


def _as_saved(weights: Weights) -> Weights:
    return {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
