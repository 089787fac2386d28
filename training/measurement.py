"""What an adapter was measured at, prompt by prompt, as the gate compares it; kept beside its other evaluations.

A measurement is the adapter's own: it is named for the adapter's content and for all it was measured with, so that a
champion is measured once. Knows no model.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InvalidData, NotFound
from core.outside_files import read_json
from training.eval_items import Items
from training.kept_json import keep_json

NAME_CHARS = 12
MAX_BYTES = 64 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measurement:
    """Values by key: `items` prompt by prompt, `numbers` over all of them. `adapter` is a content hash."""

    adapter: str
    items: Mapping[str, Items] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(value: dict[str, Any]) -> Measurement:
        """Raises KeyError, TypeError or ValueError for what `to_dict` never gave."""
        items = {
            key: Items(tuple(map(float, one["base"])), tuple(map(float, one["adapter"])))
            for key, one in value["items"].items()
        }
        numbers = {key: float(number) for key, number in value["numbers"].items()}
        return Measurement(str(value["adapter"]), items, numbers)


class Measurements:
    """The measurements that are kept below `folder`, of one persona on one base model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, adapter: str, measured_with: Mapping[str, Any], measure: Callable[[], Measurement]) -> Measurement:
        """The adapter's measurement, made now unless one with the same means is kept. A damaged one is made again."""
        means = json.dumps(measured_with, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(means.encode("utf-8", "backslashreplace")).hexdigest()[:NAME_CHARS]
        path = self._folder / adapter[:NAME_CHARS] / f"measurement-{digest}.json"
        if (kept := _read(path, adapter)) is not None:
            return kept
        made = measure()
        keep_json(path, made.to_dict(), "The measurement is")
        return made


def _read(path: Path, adapter: str) -> Measurement | None:
    try:
        found = Measurement.from_dict(read_json(path, max_bytes=MAX_BYTES))
        if found.adapter == adapter:
            return found
    except NotFound:
        return None
    except (InvalidData, KeyError, TypeError, ValueError, AttributeError):
        pass  # damaged
    logger.warning("%s holds no measurement of this adapter any more; it is made again.", path)
    return None
