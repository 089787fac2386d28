"""Which base models are GGUF files, and where the file lies. Reads no file."""

from __future__ import annotations

import os
from pathlib import Path

from core.default_model import DEFAULT_MODEL, default_model_file
from core.errors import InvalidSetting, NotFound

SUFFIX = ".gguf"
CONFIG_FILE = "config.json"


def is_gguf(base_model: str) -> bool:
    """Whether this base model is the default one, a GGUF file, or a folder that holds GGUF files and no config.json."""
    return base_model == DEFAULT_MODEL or base_model.lower().endswith(SUFFIX) or bool(_files_in(base_model))


def gguf_file(base_model: str) -> Path:
    """The file of a base model that `is_gguf`, as an absolute path.

    Raises NotFound when it is not there, InvalidSetting for a folder with several of them.
    """
    if base_model == DEFAULT_MODEL:
        return default_model_file()
    if files := _files_in(base_model):
        if len(files) > 1:
            raise InvalidSetting(
                f"{base_model} holds several GGUF files ({', '.join(file.name for file in files[:6])}); point"
                " PERSONAS_BASE_MODEL at one of them."
            )
        return files[0]
    file = Path(os.path.realpath(_expand(base_model)))
    if not file.is_file():
        raise NotFound(f"The GGUF file {base_model} does not exist; check PERSONAS_BASE_MODEL.")
    return file


def _files_in(base_model: str) -> list[Path]:
    path = _expand(base_model)
    if not os.path.isdir(path):  # noqa: PTH112  # Path's raises for a name too long
        return []
    folder = Path(os.path.realpath(path))
    if (folder / CONFIG_FILE).is_file():
        return []
    return sorted(file for file in folder.iterdir() if file.name.lower().endswith(SUFFIX) and file.is_file())


def _expand(base_model: str) -> str:
    return os.path.expanduser(base_model)  # noqa: PTH111  # Path's raises for nobody's home
