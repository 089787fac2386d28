"""The scaffold that every training shares: partial folder, fit, proof, place, measurement. Knows no method.

A method hands `run_training` its `fit`; whatever that raises, no half-written adapter stays behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from core.adapters.content_hash import LINEAGE_FILE, adapter_content_hash
from core.adapters.lineage import read_lineage
from core.engine.loading import LoadedBase
from core.errors import PersonasError
from core.personas import Persona
from core.settings import Settings
from training.adapter_folder import check_saved_adapter, move_into_place, partial_folder, save_adapter, write_json
from training.checkpoint_file import CheckpointFile
from training.first_measurement import add_figures
from training.library_noise import quiet_libraries
from training.lineage import base_name
from training.progress import ReportProgress, ignore_progress

HASH_CHARS = 12
ADAPTER = "adapter"
INTERRUPTED = 130  # 128 and SIGINT's number, as shells count


class TrainingStopped(PersonasError):
    """Someone pressed Ctrl-C, or a signal ended it; nothing was saved.

    `step` is where --resume goes on; None where there is nothing to go on from.
    """

    def __init__(self, persona: str, step: int | None, exit_code: int = INTERRUPTED, advice: str = "") -> None:
        super().__init__(f"The training of {persona} was stopped; nothing was saved.{advice}")
        self.persona, self.step, self.exit_code = persona, step, exit_code


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


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a method trained: the adapter "default" of `model`, and what its lineage says.

    `first_prompt` are the token ids of one prompt, by which the saved adapter is proven.
    """

    base: LoadedBase
    model: PeftModel
    first_prompt: list[int]
    lineage: dict[str, Any]


def run_training(
    persona: Persona,
    settings: Settings,
    checkpoints: CheckpointFile[Any],
    fit: Callable[[Path], Fitted],
    *,
    bundle: bool = False,
    is_evaluated: bool = True,
    is_resumed: bool = False,
    on_shipped: Callable[[], None] = lambda: None,
    progress: ReportProgress = ignore_progress,
) -> TrainedAdapter:
    """Have `fit` train in a partial folder, prove what it trained, and put that in its place.

    `bundle` puts it in the persona's own folder, in place of the one there, and calls `on_shipped`. It is measured once
    it is in its place; where that fails, a warning says so and the adapter stays. Raises what `fit` raises,
    AdapterNotSaved, StoreUnavailable (disk), TrainingRuns (elsewhere) and TrainingStopped (Ctrl-C). A checkpoint stays
    then, from which `is_resumed` goes on.
    """
    versions = settings.adapters_dir / persona.slug / settings.base_slug
    shipped = persona.adapter_folder(settings.base_slug)
    try:
        with (
            quiet_libraries(),
            checkpoints.held(),
            partial_folder(shipped.parent if bundle else versions) as partial,
        ):
            fitted = fit(partial)
            prove(fitted, partial / ADAPTER, settings)
            content_hash = adapter_content_hash(partial / ADAPTER)
            target = shipped if bundle else versions / content_hash[:HASH_CHARS]
            folder = move_into_place(partial / ADAPTER, target, is_replacing=bundle)
            checkpoints.remove()
    except KeyboardInterrupt as error:
        exit_code = getattr(error, "exit_code", INTERRUPTED)
        is_ours = is_resumed or checkpoints.is_written
        raise TrainingStopped(persona.slug, checkpoints.step() if is_ours else None, exit_code) from error
    if bundle:
        on_shipped()
    # The same training gives the same weights: then the folder and its lineage are those of the first time.
    if is_evaluated:
        add_figures(folder, persona, settings, fitted.base, fitted.model, progress)
    lineage = read_lineage(folder)
    return TrainedAdapter(persona.slug, settings.base_slug, folder, content_hash, lineage, bundle)


def prove(fitted: Fitted, adapter: Path, settings: Settings) -> None:
    """Save the adapter, and its lineage last: what has one is finished. Raises AdapterNotSaved."""
    save_adapter(fitted.model, adapter, base_name(settings.base_model))
    check_saved_adapter(fitted.model, adapter, torch.tensor([fitted.first_prompt], device=fitted.base.device))
    write_json(adapter / LINEAGE_FILE, fitted.lineage)
