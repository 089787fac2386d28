"""What is logged, and how. Called once, by the command."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.settings import Settings

LIBRARIES = (
    "alembic",
    "asyncio",
    "datasets",
    "gradio",
    "httpcore",
    "httpx",
    "matplotlib",
    "transformers",
    "trl",
    "uvicorn",
)
# The one warns about kernels on the hub, which this project never fetches, the other of each retry without a network.
CHATTY = ("bitsandbytes", "huggingface_hub")


def configure_logging(level: str, *, is_quiet: bool = False) -> None:
    """Log to stderr: our own lines from `level` on (only errors when quiet), the libraries' warnings and worse.

    At DEBUG everything is shown, Python's warnings included; else those are for developers and stay away.
    """
    is_debug = level == "DEBUG"
    logging.basicConfig(
        level=logging.ERROR if is_quiet and not is_debug else level,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s" if is_debug else "%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    if is_debug:
        return
    warnings.simplefilter("ignore")
    for name in (*LIBRARIES, *CHATTY):
        is_error_only = is_quiet or name in CHATTY
        logging.getLogger(name).setLevel(logging.ERROR if is_error_only else logging.WARNING)


def quiet_loading(settings: Settings) -> None:
    """No progress bars where the model's files are here and load in a moment; a download keeps its own.

    Called before the libraries are imported, because they look only then.
    """
    if Path(settings.base_model_path).is_dir():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
