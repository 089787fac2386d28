"""Measures an adapter right after its training, and adds the figures to its lineage. Whatever fails, it stays."""

from __future__ import annotations

import logging
from pathlib import Path

from peft import PeftModel

from core.adapters.content_hash import LINEAGE_FILE
from core.adapters.lineage import read_lineage
from core.engine.loading import LoadedBase
from core.errors import NotFound, PersonasError
from core.personas import Persona
from core.settings import Settings
from training.adapter_folder import partial_folder, write_json
from training.data_files import read_rows
from training.evaluation import measure
from training.fixed_prompts import read_limits
from training.library_noise import quiet_libraries
from training.progress import ReportProgress

# Ctrl-C, no memory (torch's own error is a RuntimeError), a full disk, texts that a classifier cannot learn from.
FAILURES = (KeyboardInterrupt, MemoryError, OSError, PersonasError, RuntimeError, ValueError)

logger = logging.getLogger(__name__)


def has_held_out_rows(persona: Persona, settings: Settings) -> bool:
    """Whether there is something to measure an adapter with. Raises InvalidData for bad rows: ask before a training."""
    try:
        return bool(read_rows(persona.eval_path))
    except NotFound as error:
        logger.warning("The adapter will not be measured: %s", error)
        return False


def add_figures(
    folder: Path, persona: Persona, settings: Settings, base: LoadedBase, model: PeftModel, progress: ReportProgress
) -> None:
    """Measure the model, whose adapter lies finished in `folder`, unless its lineage holds the figures already. The
    model is used up.

    Raises nothing that measuring can end in; a warning says then that it was not measured.
    """
    lineage = read_lineage(folder)
    if "evaluation" in lineage["metrics"]:
        return
    try:
        with quiet_libraries():
            limits = read_limits("short")
            report = measure(persona, settings, base, model, folder, limits=limits, progress=progress)
        lineage["metrics"]["evaluation"] = report.summary()
        with partial_folder(folder.parent) as partial:
            write_json(partial / LINEAGE_FILE, lineage)
            (partial / LINEAGE_FILE).replace(folder / LINEAGE_FILE)
    except FAILURES as error:
        reason = "stopped" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        logger.warning("The adapter is trained and kept in %s, but was not measured: %s", folder, reason)
