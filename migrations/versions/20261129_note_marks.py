"""Of every message that shows a reply, how much above and below the reply's own words are marks of ours.

Of messages from before it is not known, so their words are not read back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261129_note_marks"
down_revision = "20261129_open_to_platforms"
branch_labels = None
depends_on = None

COLUMNS = {
    "head_chars": "Characters above the reply's own words; NULL before its end",
    "tail_chars": "Characters below them; NULL before its end",
}


def upgrade() -> None:
    for name, comment in COLUMNS.items():
        op.add_column("deliveries", sa.Column(name, sa.Integer(), nullable=True, comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("deliveries") as deliveries:
        for name in COLUMNS:
            deliveries.drop_column(name)
