"""What an adapter was made of: the lineage beside its weights. Knows no registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.adapters.content_hash import LINEAGE_FILE
from core.errors import InvalidData, NotFound
from core.outside_files import read_json

ADVICE = "restore it, or delete it to go without"


def read_lineage(folder: Path) -> dict[str, Any]:
    """The folder's lineage.json; empty when it has none. Raises InvalidData when it is not a JSON object."""
    path = folder / LINEAGE_FILE
    try:
        lineage = read_json(path)
    except NotFound:
        return {}
    except InvalidData as error:
        raise InvalidData(f"{str(error).rstrip('.')}; {ADVICE}.") from error
    if not isinstance(lineage, dict):
        raise InvalidData(f"{path} does not hold a JSON object; {ADVICE}.")
    if not _can_be_kept(lineage):
        raise InvalidData(f"{path} holds a NUL or half of a surrogate pair, which no database keeps; {ADVICE}.")
    return lineage


def _can_be_kept(lineage: dict[str, Any]) -> bool:
    try:
        return "\\u0000" not in json.dumps(lineage, ensure_ascii=False).encode().decode()
    except UnicodeEncodeError:
        return False
