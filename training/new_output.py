"""A file or folder that a command writes for others: made aside, and put in its place whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from core.errors import InvalidInput, StoreUnavailable

PARTIAL_PREFIX = ".partial-"


@contextmanager
def new_output(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to; what lies there when the block ends becomes `out`.

    Raises InvalidInput where something is at `out` already, but for an empty folder, and StoreUnavailable where it
    cannot be written.
    """
    try:
        check_free(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=out.parent))
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        yield aside / out.name
        check_free(out)  # somebody else may have made it meanwhile
        (aside / out.name).rename(out)
    except (OSError, SafetensorError) as error:
        raise _unwritable(out, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_free(out: Path) -> None:
    """Raises InvalidInput when something is there that is not an empty folder."""
    is_empty_folder = out.is_dir() and not out.is_symlink() and not any(out.iterdir())
    if (out.exists() or out.is_symlink()) and not is_empty_folder:
        raise InvalidInput(f"{out} exists already; name another place, or move it away.")


def check_room(out: Path, size_bytes: int) -> None:
    """Raises StoreUnavailable where so much does not fit beside `out`."""
    free = shutil.disk_usage(out.parent).free
    if free < size_bytes:
        raise StoreUnavailable(
            f"{out} needs {size_bytes >> 20} MiB, and {free >> 20} MiB are free there; free some space, or name another"
            " place."
        )


def _unwritable(out: Path, error: Exception) -> StoreUnavailable:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return StoreUnavailable(f"{out} cannot be written ({reason}); free some space, or name another place.")
