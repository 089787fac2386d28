"""The ledger, what is judged in it, and the registry of adapter versions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261122_create_ledger"
down_revision = None
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def column(name: str, type_: Any, comment: str, *, nullable: bool = False, autoincrement: bool | str = "auto") -> Any:
    return sa.Column(name, type_, comment=comment, nullable=nullable, autoincrement=autoincrement)


def upgrade() -> None:
    create_exchanges()
    create_conversations_deliveries_and_feedback()
    create_registry()


def downgrade() -> None:
    for table in (
        "registry_events",
        "adapter_aliases",
        "adapter_versions",
        "feedback",
        "deliveries",
        "conversations",
        "exchanges",
    ):
        op.drop_table(table)


def create_exchanges() -> None:
    op.create_table(
        "exchanges",
        column("id", sa.String(), '"chatcmpl-" and 32 hex digits; also names the job'),
        column("source", sa.String(), "Chat platform the prompt came from; decides what may train"),
        column("event_id", sa.String(), "The platform's id of the event; one event is answered once"),
        column("conversation_id", sa.String(), "Conversation it belongs to"),
        column("user_id", sa.String(), "Who asked, as the platform names them"),
        column("model", sa.String(), 'Canonical blend spec that answered, or "base"'),
        column("base_model", sa.String(), "Slug of the base model"),
        column("adapters", JSON_VALUE, "Adapter versions that answered: [{name, content_hash, weight}]"),
        column("seed", sa.BigInteger(), "Seed the reply was drawn with"),
        column("sampling", JSON_VALUE, "Every sampling parameter, the seed included"),
        column("prompt", JSON_VALUE, "Messages up to the question; NULL when text may not be kept", nullable=True),
        column("status", sa.String(), "queued, running, succeeded, failed or cancelled"),
        column("reply", sa.String(), "The reply's text; NULL when text may not be kept", nullable=True),
        column("finish_reason", sa.String(), "stop, length, cancelled or error", nullable=True),
        column("prompt_tokens", sa.Integer(), "Tokens of the prompt", nullable=True),
        column("completion_tokens", sa.Integer(), "Tokens of the reply", nullable=True),
        column("cached_tokens", sa.Integer(), "Prompt tokens a kept slot had already prefilled", nullable=True),
        column("error", sa.String(), "Sentence for the user when it failed", nullable=True),
        column("created_at", sa.Double(), "When it was queued, UTC unix seconds"),
        column("started_at", sa.Double(), "When a worker took it, UTC unix seconds", nullable=True),
        column("finished_at", sa.Double(), "When it was settled, UTC unix seconds", nullable=True),
        sa.CheckConstraint(
            "(status IN ('queued', 'running')) = (finished_at IS NULL)", name=op.f("ck_exchanges_finished_when_final")
        ),
        sa.CheckConstraint("model <> '' AND base_model <> ''", name=op.f("ck_exchanges_model_named")),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_exchanges_status_known"),
        ),
        sa.CheckConstraint("prompt IS NOT NULL OR reply IS NULL", name=op.f("ck_exchanges_text_kept_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchanges")),
        sa.UniqueConstraint("source", "event_id", name=op.f("uq_exchanges_source_event_id")),
    )
    op.create_index(op.f("ix_exchanges_conversation_id"), "exchanges", ["conversation_id"])
    op.create_index(op.f("ix_exchanges_status"), "exchanges", ["status"])


def create_conversations_deliveries_and_feedback() -> None:
    op.create_table(
        "conversations",
        column("id", sa.String(), "The chat platform's id, unique over all platforms"),
        column("source", sa.String(), "Chat platform it belongs to"),
        column("model", sa.String(), 'Canonical blend spec that answers here, or "base"'),
        column("updated_at", sa.Double(), "When the model was last chosen, UTC unix seconds"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_table(
        "deliveries",
        column("source", sa.String(), "Chat platform of the message"),
        column("message_id", sa.String(), "The message's id, unique within the platform"),
        column("exchange_id", sa.String(), "The exchange it shows"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_deliveries_exchanges")),
        sa.PrimaryKeyConstraint("source", "message_id", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_exchange_id"), "deliveries", ["exchange_id"])
    op.create_table(
        "feedback",
        column("exchange_id", sa.String(), "What is judged"),
        column("user_id", sa.String(), "Who judges"),
        column("label", sa.Boolean(create_constraint=True, name="label"), "Thumbs up or down"),
        column("source", sa.String(), "Where the judgement was given"),
        column("given_at", sa.Double(), "When it was given or last changed, UTC unix seconds"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_feedback_exchanges")),
        sa.PrimaryKeyConstraint("exchange_id", "user_id", name=op.f("pk_feedback")),
    )


def create_registry() -> None:
    op.create_table(
        "adapter_versions",
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("version", sa.Integer(), "1, 2, 3 ... as registered", autoincrement=False),
        column("content_hash", sa.String(), "sha256 of weights and config"),
        column("root", sa.String(), "Folder the path starts from: bundled personas or data"),
        column("path", sa.String(), "Adapter folder below the root, with forward slashes"),
        column("origin", sa.String(), "bundled with the personas, or trained here"),
        column("lineage", JSON_VALUE, "How it was made: data hash, recipe, code version, seed"),
        column("gate_passed", sa.Boolean(), "Whether it beat the champion; NULL before it was tried", nullable=True),
        column("created_at", sa.Double(), "When it was registered, UTC unix seconds"),
        sa.CheckConstraint("origin IN ('bundled', 'trained')", name=op.f("ck_adapter_versions_origin_known")),
        sa.CheckConstraint("root IN ('bundled', 'data')", name=op.f("ck_adapter_versions_root_known")),
        sa.CheckConstraint("length(content_hash) = 64", name=op.f("ck_adapter_versions_content_hash_sha256")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_adapter_versions_version_positive")),
        sa.PrimaryKeyConstraint("persona", "base_model", "version", name=op.f("pk_adapter_versions")),
        sa.UniqueConstraint(
            "persona", "base_model", "content_hash", name=op.f("uq_adapter_versions_persona_base_model_content_hash")
        ),
    )
    op.create_table(
        "adapter_aliases",
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("alias", sa.String(), "champion, challenger or previous"),
        column("version", sa.Integer(), "Version it points at"),
        sa.CheckConstraint(
            "alias IN ('champion', 'challenger', 'previous')", name=op.f("ck_adapter_aliases_alias_known")
        ),
        sa.ForeignKeyConstraint(
            ["persona", "base_model", "version"],
            ["adapter_versions.persona", "adapter_versions.base_model", "adapter_versions.version"],
            name=op.f("fk_adapter_aliases_adapter_versions"),
        ),
        sa.PrimaryKeyConstraint("persona", "base_model", "alias", name=op.f("pk_adapter_aliases")),
    )
    op.create_table(
        "registry_events",
        column("id", sa.Integer(), "Rises with time"),
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("kind", sa.String(), "registered, gated, shipped, promoted or rolled_back"),
        column("version", sa.Integer(), "Version it happened to"),
        column("former_champion", sa.Integer(), "Version the champion moved away from", nullable=True),
        column("gate_passed", sa.Boolean(), "The version's gate at that time", nullable=True),
        column("is_forced", sa.Boolean(), "Promoted without a passing gate"),
        column("actor", sa.String(), "Who did it"),
        column("happened_at", sa.Double(), "When, UTC unix seconds"),
        sa.CheckConstraint("actor <> ''", name=op.f("ck_registry_events_actor_named")),
        sa.CheckConstraint(
            "kind <> 'promoted' OR gate_passed IS TRUE OR is_forced",
            name=op.f("ck_registry_events_promotion_gated_or_forced"),
        ),
        sa.CheckConstraint(
            "kind IN ('registered', 'gated', 'shipped', 'promoted', 'rolled_back')",
            name=op.f("ck_registry_events_kind_known"),
        ),
        sa.ForeignKeyConstraint(
            ["persona", "base_model", "version"],
            ["adapter_versions.persona", "adapter_versions.base_model", "adapter_versions.version"],
            name=op.f("fk_registry_events_adapter_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_events")),
    )
    op.create_index(op.f("ix_registry_events_persona_base_model"), "registry_events", ["persona", "base_model"])
