"""Keeps the training libraries from phoning home and from talking over our own progress bar and errors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
from huggingface_hub import constants


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block no telemetry is sent, and warnings that only a library's makers can act upon stay away."""
    constants.HF_HUB_DISABLE_TELEMETRY = True  # TRL pings its makers whenever a trainer is built
    datasets.disable_progress_bars()
    trl = logging.getLogger("trl")
    level = trl.level
    trl.setLevel(logging.ERROR)  # it advises on weights and prompts, which safeguards.py proves
    try:
        with _quiet_warnings():
            yield
    finally:
        trl.setLevel(level)


@contextmanager
def _quiet_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 for this by its old name.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        # TRL 1.16 stops and begins it by its old names around each look at the reference.
        old_names = "`gradient_checkpointing_(en|dis)able` is deprecated"
        warnings.filterwarnings("ignore", message=old_names, category=FutureWarning)
        yield
