"""Moves adapters between disk, host memory and the stack on the device, where AdapterCache says so.

`held`, `read`, `retire` and `statuses` may be called from any thread, the others only from the engine's own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.engine.adapter_cache import AdapterCache
from core.engine.adapter_files import AdapterReader, AdapterWeights
from core.engine.base import AdapterStatus
from core.engine.multi_lora import AdapterStack
from core.errors import InvalidInput
from core.generation import AdapterRef, WeightedAdapter


def row_weights(shares: Iterable[WeightedAdapter]) -> dict[AdapterRef, float]:
    """{adapter: weight}; the same adapter named twice counts with the sum. Raises InvalidInput."""
    weights: dict[AdapterRef, float] = {}
    for share in shares:
        if not math.isfinite(share.weight):
            raise InvalidInput(f"The weight of {share.adapter.name} is {share.weight}, but must be a finite number.")
        weights[share.adapter] = weights.get(share.adapter, 0.0) + share.weight
    return {ref: weight for ref, weight in weights.items() if weight != 0}


class AdapterShelf:
    """The adapters of one engine."""

    def __init__(self, reader: AdapterReader, stack: AdapterStack, *, host_adapters: int) -> None:
        self._reader = reader
        self._stack = stack
        self._cache = AdapterCache(stack.rows, host_adapters)
        self._host: dict[AdapterRef, AdapterWeights] = {}
        self._loaded: dict[int, AdapterRef] = {}  # what the rows of the stack really hold
        self._lock = threading.Lock()

    def held(self, ref: AdapterRef) -> AdapterWeights | None:
        """The adapter's weights, if they are in host memory."""
        with self._lock:
            return self._host.get(ref)

    def read(self, ref: AdapterRef, folder: Path) -> AdapterWeights:
        """Bring the adapter's weights from disk to host memory. Raises AdapterRejected."""
        weights = self._reader.read(ref, folder)  # outside the lock: reading may take a while
        with self._lock:
            self._host[ref] = weights
            for surplus in self._cache.keep_on_host(ref):
                del self._host[surplus]
        return weights

    def acquire(self, adapters: Iterable[AdapterWeights]) -> dict[AdapterRef, int] | None:
        """Bring all these adapters to the device and hold them: {ref: row}, or None while there is no room.

        Raises RuntimeError when the device has no memory for them; nothing is held then.
        """
        by_ref = {adapter.ref: adapter for adapter in adapters}
        with self._lock:
            rows = self._cache.acquire(by_ref)
        if rows is None:
            return None
        try:
            for ref, row in rows.items():
                if self._loaded.get(row) != ref:
                    self._loaded.pop(row, None)
                    self._stack.load(row, by_ref[ref])
                    self._loaded[row] = ref
        except RuntimeError:
            self.release(rows)
            raise
        return rows

    def release(self, refs: Iterable[AdapterRef]) -> None:
        """End a hold."""
        with self._lock:
            self._cache.release(refs)
            self._drop_forgotten()

    def assign(self, slot: int, weights: Mapping[AdapterRef, float], rows: Mapping[AdapterRef, int]) -> None:
        """Give a slot its row of weights."""
        self._stack.assign(slot, {rows[ref]: weight for ref, weight in weights.items()})

    def pin(self, ref: AdapterRef) -> None:
        """Prefer to keep this adapter on the device."""
        with self._lock:
            self._cache.pin(ref)

    def retire(self, name: str) -> None:
        """Forget an adapter version once its running replies are done."""
        with self._lock:
            self._cache.retire(name)
            self._drop_forgotten()

    def statuses(self) -> tuple[AdapterStatus, ...]:
        """Every adapter version that is known, and where it is."""
        with self._lock:
            return self._cache.statuses()

    def _drop_forgotten(self) -> None:
        known = {status.ref for status in self._cache.statuses()}
        for ref in [ref for ref in self._host if ref not in known]:
            del self._host[ref]
