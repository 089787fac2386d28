"""How much of the host's memory is still to be had, in a container too, and giving back what is not in use."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def free_bytes(cgroup: Path = CGROUP) -> int:
    """What the machine has free, or what a container's limit (cgroup v2) leaves where that is less."""
    machine = int(psutil.virtual_memory().available)
    container = _container_bytes(cgroup)
    return machine if container is None else min(machine, container)


def trim_heap() -> None:
    """Give the system what was freed. glibc keeps it, a copy of the model's weights after they were packed, for one.

    Does nothing where the C library has no such function, as on macOS and Windows.
    """
    with suppress(AttributeError, OSError, TypeError):  # TypeError: Windows has no library of the process itself
        ctypes.CDLL(None).malloc_trim(0)


def _container_bytes(cgroup: Path) -> int | None:
    """None without a limit. Files that the kernel holds in memory count as free, for it drops them when asked."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        figures = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, int(limit) - used + int(figures.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None
