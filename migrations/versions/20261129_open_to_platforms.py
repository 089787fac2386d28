"""Platforms declare their identities, API users have names of their own, and what is looked up has an index.

The API wrote its users' names as they came, so that one called "discord:7" was taken for a person on Discord.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261129_open_to_platforms"
down_revision = "20261122_note_void_thumbs"
branch_labels = None
depends_on = None

IDENTITY_KNOWN = "ck_places_identity_known"
IS_KNOWN = "identity IN ('message', 'webhook', 'profile')"
FORMER_COMMENT = "How a persona shows itself: message, webhook or profile"
COMMENT = "How a persona shows itself, in the platform's word"
INDEXED = (("feedback", "user_id"), ("corrections", "user_id"), ("exchanges", "finished_at"))


def upgrade() -> None:
    with op.batch_alter_table("places") as places:
        places.drop_constraint(op.f(IDENTITY_KNOWN), type_="check")
        places.alter_column("identity", existing_type=sa.String(), existing_comment=FORMER_COMMENT, comment=COMMENT)
    rename_api_users("'api:' || user_id")
    for table, column in INDEXED:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    is_open = {"sqlite_where": sa.text("is_final = 0"), "postgresql_where": sa.text("is_final = false")}
    op.create_index(op.f("ix_deliveries_open"), "deliveries", ["source"], **is_open)


def downgrade() -> None:
    op.drop_index(op.f("ix_deliveries_open"), "deliveries")
    for table, column in INDEXED:
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
    rename_api_users("substr(user_id, 5)")
    op.execute(f"UPDATE places SET identity = NULL WHERE NOT {IS_KNOWN}")  # noqa: S608 - ours
    with op.batch_alter_table("places") as places:
        places.create_check_constraint(op.f(IDENTITY_KNOWN), IS_KNOWN)
        places.alter_column("identity", existing_type=sa.String(), existing_comment=COMMENT, comment=FORMER_COMMENT)


def rename_api_users(name: str) -> None:
    """Thumbs are taken out and put back: renamed in place, one user's new name could meet another's former one."""
    is_users = "source = 'api' AND user_id <> ''"
    op.execute(f"UPDATE exchanges SET user_id = {name} WHERE {is_users}")  # noqa: S608 - ours
    op.execute(f"CREATE TABLE former_feedback AS SELECT * FROM feedback WHERE {is_users}")  # noqa: S608 - ours
    op.execute(f"DELETE FROM feedback WHERE {is_users}")  # noqa: S608 - ours
    values = f"SELECT exchange_id, {name}, label, source, given_at FROM former_feedback"  # noqa: S608 - ours
    op.execute(f"INSERT INTO feedback (exchange_id, user_id, label, source, given_at) {values}")
    op.drop_table("former_feedback")
