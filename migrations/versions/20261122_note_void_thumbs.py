"""Thumbs that count no more although they may still be seen are noted; deliveries are found by their age."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261122_note_void_thumbs"
down_revision = "20261122_keep_places_and_rights"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "void_thumbs",
        sa.Column("exchange_id", sa.String(), comment="What was judged", nullable=False),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_void_thumbs_exchanges")),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_void_thumbs")),
    )
    op.create_index(op.f("ix_deliveries_source_created_at"), "deliveries", ["source", "created_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_deliveries_source_created_at"), "deliveries")
    op.drop_table("void_thumbs")
