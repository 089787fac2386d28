"""What all tables are made of: names of constraints, and how Python's types are stored."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, Double, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from core.store.source_names import SourceName, SourceNameType

# none_as_null: without it Python's None is stored as JSON `null`, which NOT NULL lets through.
# JSONB on PostgreSQL because its plain JSON has no equality, which GROUP BY needs.
JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def is_one_of(column: str, values: tuple[str, ...]) -> str:
    """A check's condition: the column holds one of these."""
    return f"{column} IN ({', '.join(map(repr, map(str, values)))})"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={  # named, so that a later migration can alter them
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        float: Double(),
        dict[str, Any]: JSON_VALUE,
        list[dict[str, Any]]: JSON_VALUE,
        SourceName: SourceNameType(),
    }
