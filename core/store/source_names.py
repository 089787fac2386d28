"""What sources are called. A platform declares its own; here is only what every such name looks like."""

from __future__ import annotations

import re
from typing import Any, NewType

from sqlalchemy import String, TypeDecorator

SourceName = NewType("SourceName", str)
"""Where something comes from: a platform, or a way on it ("discord", "discord:reaction")."""

SHAPE = re.compile(r"[a-z][a-z0-9_-]*(:[a-z][a-z0-9_-]*)?")


class SourceNameType(TypeDecorator[str]):
    """The text of a source's name. Any other text is a mistake of the program, and raises ValueError."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is not None and not SHAPE.fullmatch(value):
            raise ValueError(f'"{value[:60]}" is no name of a source: small letters, perhaps a colon between two words')
        return value
