"""An event says why, and a version keeps the verdict of its gate with every number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "20261129_say_why_promoted"
down_revision = "20261129_view_trainable_feedback"
branch_labels = None
depends_on = None

REPORT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Columns are added in place: no table is rebuilt, so that views which read it stay."""
    op.add_column("registry_events", sa.Column("reason", sa.String(), nullable=True, comment="Why, in a sentence"))
    report = sa.Column("gate_report", REPORT, nullable=True, comment="The gate's verdict; NULL before it was tried")
    op.add_column("adapter_versions", report)


def downgrade() -> None:
    op.drop_column("adapter_versions", "gate_report")
    op.drop_column("registry_events", "reason")
