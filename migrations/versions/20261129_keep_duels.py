"""A duel is two exchanges; a vote on it is a preference between them, which may be a tie. A tie trains nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261129_keep_duels"
down_revision = "20261129_roll_out_versions"
branch_labels = None
depends_on = None

VIEW_MADE_BY = "20261129_view_trainable_feedback"
PICKS = "FROM preferences given JOIN"
PICKS_BUT_TIES = "FROM (SELECT * FROM preferences WHERE NOT is_tie) given JOIN"


def make_view(*, has_ties: bool) -> None:
    """The view of what may train, anew; with or without ties in the table that it reads."""
    context = op.get_context()
    former = context.script.get_revision(VIEW_MADE_BY).module.view(context.dialect.name)
    if PICKS not in former:
        raise ValueError(f"{VIEW_MADE_BY} reads preferences in another way now; ties must stay out of it.")
    op.execute(former.replace(PICKS, PICKS_BUT_TIES) if has_ties else former)


def upgrade() -> None:
    """Columns are added in place: no table is rebuilt, so that views which read it stay."""
    is_tie = sa.Column(
        "is_tie", sa.Boolean(), server_default=sa.false(), nullable=False, comment="Both are as good; trains nothing"
    )
    op.add_column("preferences", is_tie)
    op.execute("DROP VIEW trainable_feedback")
    make_view(has_ties=True)
    op.create_table(
        "duels",
        sa.Column("first_id", sa.String(), nullable=False, comment="Exchange that was shown first"),
        sa.Column("second_id", sa.String(), nullable=False, comment="Exchange that was shown second"),
        sa.CheckConstraint("first_id <> second_id", name=op.f("ck_duels_between_two")),
        sa.ForeignKeyConstraint(["first_id"], ["exchanges.id"], name="fk_duels_first"),
        sa.ForeignKeyConstraint(["second_id"], ["exchanges.id"], name="fk_duels_second"),
        sa.PrimaryKeyConstraint("first_id", name=op.f("pk_duels")),
        sa.UniqueConstraint("second_id", name=op.f("uq_duels_second_id")),
    )


def downgrade() -> None:
    """Ties go: without the column they would be picks."""
    op.drop_table("duels")
    op.execute("DROP VIEW trainable_feedback")
    op.execute("DELETE FROM preferences WHERE is_tie")
    op.drop_column("preferences", "is_tie")
    make_view(has_ties=False)
