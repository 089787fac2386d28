"""Writes a draft to its folder: whole or not at all. Knows no cards and no personas."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bot.new_persona.persona_draft import PersonaDraft
from core.errors import InvalidInput, StoreUnavailable

PARTIAL_PREFIX = ".partial-"  # no persona's folder begins with a dot, so nobody reads it


def check_free(folder: Path) -> None:
    """Raises InvalidInput when something is there already; an empty folder is nobody's."""
    try:
        is_taken = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise StoreUnavailable(f"{folder} cannot be read ({error.strerror}); check its rights.") from error
    if is_taken:
        raise InvalidInput(f"{folder} exists already; choose another short name, or move it away.")


def write_draft(draft: PersonaDraft, folder: Path) -> None:
    """Write every file aside and move them to `folder` in one step.

    Raises StoreUnavailable when the disk is full or the place may not be written, and InvalidInput when somebody else
    has made the folder meanwhile.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=folder.parent) as aside:
            partial = Path(aside) / folder.name  # made with the usual rights, which those of `aside` are not
            partial.mkdir()
            for name, content in draft.files().items():
                (partial / name).write_bytes(content)
            check_free(folder)
            partial.rename(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"{folder} cannot be written ({error.strerror}); free some space, check its rights, or set"
            " PERSONAS_DATA_DIR to another folder."
        ) from error
