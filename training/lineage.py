"""Records where an adapter comes from: data, recipe, code, machine and measurements. Knows no weights."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

import core
from core.base_names import base_folder
from core.engine.loading import LoadedBase, base_fingerprint
from core.personas import Persona
from core.settings import ROOT, Settings
from training.blend_recipe import BlendRecipe
from training.recipes import Recipe

LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "datasets")
GIT_TIMEOUT_S = 30
SHIPPED_ADAPTERS = "personas/*/adapters/*"


def build_lineage(
    persona: Persona,
    settings: Settings,
    base: LoadedBase,
    recipe: Recipe | BlendRecipe,
    *,
    method: Literal["sft", "feedback", "blend"],
    data: dict[str, Any],
    commit: str | None,
    metrics: dict[str, Any],
    parents: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything needed to tell, and to repeat, how an adapter came to be. Holds no path of this machine.

    `parents` are the content hashes of the adapters that it began from.
    """
    return {
        "persona": persona.slug,
        "base_model": base_name(settings.base_model),
        "base_model_fingerprint": base_fingerprint(base),
        "method": method,
        "parents": list(parents),
        "data": data,
        "recipe": asdict(recipe),
        "seed": recipe.seed,
        "quantization": asdict(base.quantization),
        "dtype": str(base.dtype).removeprefix("torch."),
        "code": {"version": core.__version__, "commit": commit},
        "libraries": {name: version(name) for name in LIBRARIES if find_spec(name) is not None},
        "hardware": _hardware(base.device),
        "metrics": metrics,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def base_name(base_model: str) -> str:
    """A base model's name for others to read: a hub id as it is, a folder without the way to it."""
    folder = base_folder(base_model)
    return base_model if folder is None else folder.name


def git_commit(root: Path = ROOT) -> str | None:
    """The checked-out commit of this program, "-dirty" when files were changed since; None where git cannot tell.

    Adapters that the personas ship don't count: they are what trainings write, one after another.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None

    def ask(*line: str) -> str:
        command = [git, "--no-optional-locks", "-C", str(root), *line]
        return subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True).stdout  # noqa: S603  # fixed commands on our own folder

    try:
        commit = ask("rev-parse", "HEAD").strip()
        changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){SHIPPED_ADAPTERS}")
    except (OSError, subprocess.SubprocessError):  # no commit yet, another owner's clone, a hanging disk
        return None
    return f"{commit}-dirty" if changed else commit


def _hardware(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "name": name, "cpus": os.cpu_count()}
