"""What an adapter was made of: the lineage beside its weights. Knows no registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.adapters.content_hash import LINEAGE_FILE
from core.errors import InvalidData


def read_lineage(folder: Path) -> dict[str, Any]:
    """The folder's lineage.json; empty when it has none. Raises InvalidData when it is not a JSON object."""
    path = folder / LINEAGE_FILE
    if not path.exists():
        return {}
    try:
        lineage = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidData(f"{path} cannot be read ({error}); restore it, or delete it to go without.") from error
    if not isinstance(lineage, dict):
        raise InvalidData(f"{path} does not hold a JSON object; restore it, or delete it to go without.")
    return lineage
