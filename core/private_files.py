"""Keeps what people said from others on the same machine: folders of mode 0700, files of mode 0600.

Windows has no such modes; there a folder has the rights of the one it lies in.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
OTHERS = 0o077  # what the group and everybody else may do

logger = logging.getLogger(__name__)


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone; one that is there stays as it is. Raises OSError."""
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner alone; one that is there stays as it is. Raises OSError."""
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))


def close_folder(folder: Path) -> list[Path]:
    """Take a data folder, and the files and folders that lie in it, from everybody but their owner, and say so.

    Returns what was open until now. A folder that others use, too, like /tmp, keeps its own rights.
    """
    if not folder.is_dir():
        return []
    try:
        inside = sorted(folder.iterdir())
    except OSError:  # whoever reads it next says why
        return []
    return close_to_others(inside if _is_shared(folder) else [folder, *inside])


def close_to_others(paths: Iterable[Path]) -> list[Path]:
    """Take these from everybody but their owner, and say so. Returns what was open until now.

    Links, and what belongs to somebody else, are left alone.
    """
    mended, failed = [], []
    for path in paths:
        if not is_open_to_others(path):
            continue
        try:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
            mended.append(path)
        except OSError as error:
            failed.append(f"{path} ({error.strerror})")
    if mended:
        logger.warning("Others on this machine could read %s; now only its owner can.", _named(mended))
    if failed:
        logger.warning("Others on this machine may read %s; change the rights.", ", ".join(failed))
    return mended


def is_open_to_others(path: Path) -> bool:
    """Whether this is a file or folder of this process's own user that others may read, write or enter."""
    try:
        found = path.lstat()
    except OSError:
        return False
    is_ours = os.name == "posix" and found.st_uid == os.geteuid()
    is_plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return is_ours and is_plain and bool(found.st_mode & OTHERS)


def _is_shared(folder: Path) -> bool:
    """Whether a folder is meant for others, too: /tmp and its like, the root of the disk, somebody's home."""
    is_sticky = bool(folder.stat().st_mode & stat.S_ISVTX)
    return is_sticky or folder.resolve() in (Path(folder.resolve().anchor), Path.home())


def _named(paths: list[Path]) -> str:
    first = str(paths[0])
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more in it"
