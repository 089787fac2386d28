"""How much of the host's memory is still to be had, in a container too. Knows nothing of what it is wanted for."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def free_bytes(cgroup: Path = CGROUP) -> int:
    """What the machine has free, or what a container's limit (cgroup v2) leaves where that is less."""
    machine = int(psutil.virtual_memory().available)
    container = _container_bytes(cgroup)
    return machine if container is None else min(machine, container)


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
