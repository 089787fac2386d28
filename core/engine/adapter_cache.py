"""Which adapter versions are on the device, in host memory or only on disk. Pure policy: no tensors, no files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.engine.base import AdapterStatus
from core.generation import AdapterRef


@dataclass(slots=True)
class _Entry:
    ref: AdapterRef
    row: int | None = None
    is_on_host: bool = False
    in_use: int = 0
    is_pinned: bool = False
    is_retired: bool = False
    last_used: int = 0


class AdapterCache:
    """Places of adapter versions, least recently used out first; one in use never moves.

    `rows` bounds the device, `host` the copies in host memory. A pin is a strong wish, not a lock: a pinned adapter
    leaves the device only when a reply needs the row and no unpinned one is idle, so pins can never block replies.
    """

    def __init__(self, rows: int, host: int) -> None:
        self._rows: list[AdapterRef | None] = [None] * rows
        self._host = host
        self._entries: dict[AdapterRef, _Entry] = {}
        self._clock = 0

    def acquire(self, refs: Iterable[AdapterRef]) -> dict[AdapterRef, int] | None:
        """Take a row for every ref, all or none: {ref: row}, or None while too few rows are idle.

        Afterwards each ref counts one more user. A row may be new to its ref; loading it is up to the caller.
        """
        wanted = set(refs)
        missing = [ref for ref in wanted if self._row(ref) is None]
        idle = self._idle_rows(besides=wanted)
        if len(missing) > len(idle):
            return None
        for ref, row in zip(missing, idle, strict=False):
            self._move_in(ref, row)
        for ref in wanted:
            entry = self._touch(ref)
            entry.in_use += 1
            entry.is_retired = False
        return {ref: self._rows.index(ref) for ref in wanted}

    def release(self, refs: Iterable[AdapterRef]) -> None:
        """End one use of each ref. A retired one without users is forgotten."""
        for ref in set(refs):
            entry = self._touch(ref)
            entry.in_use -= 1
            if entry.is_retired and not entry.in_use:
                self._forget(ref)

    def pin(self, ref: AdapterRef) -> None:
        """Prefer to keep this adapter on the device."""
        self._touch(ref).is_pinned = True

    def retire(self, name: str) -> None:
        """Forget every version of this name, now or once its running replies are done."""
        for ref, entry in list(self._entries.items()):
            if ref.name != name:
                continue
            entry.is_retired, entry.is_pinned = True, False
            if not entry.in_use:
                self._forget(ref)

    def keep_on_host(self, ref: AdapterRef) -> list[AdapterRef]:
        """Count a copy in host memory; returns the refs whose copies must go."""
        self._touch(ref).is_on_host = True
        copies = sorted((e for e in self._entries.values() if e.is_on_host), key=lambda entry: entry.last_used)
        surplus = copies[: max(0, len(copies) - self._host)]
        for entry in surplus:
            entry.is_on_host = False
        return [entry.ref for entry in surplus]

    def statuses(self) -> tuple[AdapterStatus, ...]:
        """Every adapter version that is known, and where it is."""
        return tuple(
            AdapterStatus(
                entry.ref,
                "device" if entry.row is not None else "host" if entry.is_on_host else "disk",
                entry.in_use,
                entry.is_pinned,
            )
            for entry in self._entries.values()
        )

    def _row(self, ref: AdapterRef) -> int | None:
        entry = self._entries.get(ref)
        return entry.row if entry else None

    def _idle_rows(self, besides: set[AdapterRef]) -> list[int]:
        """Rows that may be overwritten, best first: empty, unpinned, longest unused; low rows before high ones."""
        ranked: list[tuple[bool, int, int]] = []
        for row, ref in enumerate(self._rows):
            if ref is None:
                ranked.append((False, 0, row))
            elif ref not in besides and not self._entries[ref].in_use:
                ranked.append((self._entries[ref].is_pinned, self._entries[ref].last_used, row))
        return [row for _, _, row in sorted(ranked)]

    def _move_in(self, ref: AdapterRef, row: int) -> None:
        if (old := self._rows[row]) is not None:
            self._entries[old].row = None
        self._rows[row] = ref
        self._touch(ref).row = row

    def _touch(self, ref: AdapterRef) -> _Entry:
        self._clock += 1
        entry = self._entries.setdefault(ref, _Entry(ref))
        entry.last_used = self._clock
        return entry

    def _forget(self, ref: AdapterRef) -> None:
        entry = self._entries.pop(ref)
        if entry.row is not None:
            self._rows[entry.row] = None
