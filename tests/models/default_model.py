"""SmolLM2 for tests, dequantised once for all of them: a run that starts twenty servers would wait for each."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from core.default_model import DEFAULT_MODEL, SAMPLING, default_model_file
from core.engine.gguf_copy import dequantised_copy

SHARED = Path(tempfile.gettempdir()) / f"personas-tests-{os.getuid()}" / "models" / DEFAULT_MODEL


def default_model_folder() -> Path:
    """The dequantised model; made where no earlier run has left it whole."""
    return dequantised_copy(default_model_file(), SHARED, SAMPLING)


def seed_default_model(data_dir: Path) -> None:
    """Put the copy where a program with this data folder looks for it."""
    target = data_dir / "models" / DEFAULT_MODEL
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(default_model_folder(), target, copy_function=os.link)
