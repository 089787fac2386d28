"""How far a challenger has come that meets people step by step, and what was measured of its unseen replies."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "20261129_roll_out_versions"
down_revision = "20261129_say_why_promoted"
branch_labels = None
depends_on = None

SETTINGS = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
KIND_KNOWN = "ck_registry_events_kind_known"
FORMER_KINDS = "kind IN ('registered', 'gated', 'shipped', 'promoted', 'rolled_back')"
KINDS = "kind IN ('registered', 'gated', 'shipped', 'promoted', 'rolled_back', 'rollout')"
FORMER_COMMENT = "registered, gated, shipped, promoted or rolled_back"
COMMENT = "registered, gated, shipped, promoted, rolled_back or rollout"


def column(name: str, type_: Any, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=nullable, comment=comment)


def version_key(column_name: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["persona", "base_model", column_name],
        ["adapter_versions.persona", "adapter_versions.base_model", "adapter_versions.version"],
        name=op.f(name),
    )


def upgrade() -> None:
    change_kinds(FORMER_COMMENT, COMMENT, KINDS)
    op.create_table(
        "rollouts",
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("challenger", sa.Integer(), "Version that is tried"),
        column("champion", sa.Integer(), "Version that answered when it began"),
        column("stage", sa.String(), "shadow, canary or done"),
        column("is_paused", sa.Boolean(), "Whether nothing is decided and nobody new meets the challenger"),
        column("settings", SETTINGS, "The rollout table of persona.toml as it began"),
        column("started_at", sa.Double(), "When it began, UTC unix seconds"),
        column("canary_at", sa.Double(), "When people began to meet the challenger; NULL before", nullable=True),
        column("ended_at", sa.Double(), "When it ended, UTC unix seconds", nullable=True),
        column("outcome", sa.String(), "promoted, rolled_back or ended by something else", nullable=True),
        column("reason", sa.String(), "Why it stands where it stands, in a sentence", nullable=True),
        sa.CheckConstraint("stage IN ('shadow', 'canary', 'done')", name=op.f("ck_rollouts_stage_known")),
        sa.CheckConstraint("outcome IN ('promoted', 'rolled_back', 'ended')", name=op.f("ck_rollouts_outcome_known")),
        sa.CheckConstraint("(stage = 'done') = (outcome IS NOT NULL)", name=op.f("ck_rollouts_outcome_when_done")),
        sa.CheckConstraint("challenger <> champion", name=op.f("ck_rollouts_between_two")),
        version_key("challenger", "fk_rollouts_challenger_adapter_versions"),
        version_key("champion", "fk_rollouts_champion_adapter_versions"),
        sa.PrimaryKeyConstraint("persona", "base_model", name=op.f("pk_rollouts")),
    )
    op.create_table(
        "shadow_replies",
        column("exchange_id", sa.String(), "What was shown"),
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("challenger", sa.Integer(), "Version that answered unseen"),
        column("champion_words", sa.Integer(), "Words of the reply that was shown"),
        column("challenger_words", sa.Integer(), "Words of the unseen reply"),
        column("champion_is_flawed", sa.Boolean(), "Whether the shown reply repeats itself or is garbage"),
        column("challenger_is_flawed", sa.Boolean(), "The same of the unseen one"),
        column("champion_voice", sa.Double(), "How much the shown reply sounds like the persona's rows"),
        column("challenger_voice", sa.Double(), "The same of the unseen one"),
        column("has_failed", sa.Boolean(), "Whether the challenger ended with an error"),
        column("happened_at", sa.Double(), "When, UTC unix seconds"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_shadow_replies_exchanges")),
        version_key("challenger", "fk_shadow_replies_adapter_versions"),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_shadow_replies")),
    )
    of_challenger = ["persona", "base_model", "challenger"]
    op.create_index(op.f("ix_shadow_replies_persona_base_model_challenger"), "shadow_replies", of_challenger)


def downgrade() -> None:
    op.drop_table("shadow_replies")
    op.drop_table("rollouts")
    op.execute("DELETE FROM registry_events WHERE kind = 'rollout'")
    change_kinds(COMMENT, FORMER_COMMENT, FORMER_KINDS)


def change_kinds(former_comment: str, comment: str, is_known: str) -> None:
    with op.batch_alter_table("registry_events") as events:
        events.drop_constraint(op.f(KIND_KNOWN), type_="check")
        events.create_check_constraint(op.f(KIND_KNOWN), is_known)
        events.alter_column(
            "kind", existing_type=sa.String(), existing_nullable=False, existing_comment=former_comment, comment=comment
        )
