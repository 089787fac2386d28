"""Where adapters lie, and which of their folders are whole. Knows no database."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from core.adapters.content_hash import LINEAGE_FILE, adapter_content_hash
from core.errors import AdapterRejected
from core.outside_files import real_path


class AdapterRoots:
    """The bundled personas and the data folder. Folders are stored relative to one of them, so that both may move."""

    def __init__(self, personas_dir: Path, adapters_dir: Path) -> None:
        self.data = real_path(adapters_dir)
        self._roots = {"bundled": real_path(personas_dir), "data": self.data}

    def locate(self, folder: Path) -> tuple[str, str]:
        """The root of an adapter folder and its path from there. Raises AdapterRejected outside of both."""
        resolved = real_path(folder)  # a symlink counts by where it leads
        for root, root_folder in self._roots.items():
            if resolved.is_relative_to(root_folder):
                return root, resolved.relative_to(root_folder).as_posix()
        raise AdapterRejected(
            f"The adapter folder {folder} lies outside {self._roots['bundled']} and {self._roots['data']};"
            " move it into one of them, adapters are read from nowhere else."
        )

    def folder(self, root: str, path: str) -> Path:
        return self._roots[root] / path


def has_content(folder: Path, content_hash: str) -> bool:
    """Whether the folder still holds these weights and this config."""
    try:
        return adapter_content_hash(folder) == content_hash
    except AdapterRejected:
        return False


def finished_folders(parent: Path) -> list[Path]:
    """The finished adapters in this folder, the oldest first; a training writes its lineage last."""
    found = []
    for path in parent.glob(f"[!.]*/{LINEAGE_FILE}"):
        with suppress(OSError):  # a link that leads nowhere, or a folder that was removed just now
            found.append((path.stat().st_mtime, path.parent))
    return [folder for _, folder in sorted(found)]
