"""Conversations become places with settings; replies have variants; people have consent, preferences and corrections.

Rows are kept both ways, as far as the other side has a column for what they hold.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "20261122_keep_places_and_rights"
down_revision = "20261122_create_ledger"
branch_labels = None
depends_on = None


def column(name: str, type_: Any, comment: str, *, nullable: bool = False, autoincrement: bool | str = "auto") -> Any:
    return sa.Column(name, type_, comment=comment, nullable=nullable, autoincrement=autoincrement)


def upgrade() -> None:
    create_places()
    op.execute(
        "INSERT INTO places (id, source, model, updated_at) SELECT id, source, model, updated_at FROM conversations"
    )
    op.drop_table("conversations")
    add_variants_and_questions()
    create_exchange_places_and_quotes()
    replace_deliveries(create_deliveries, "position, is_final, created_at", "0, TRUE, 0")
    op.execute(  # when they were posted was not noted; a reply was never posted before it was asked for
        "UPDATE deliveries SET created_at = (SELECT created_at FROM exchanges WHERE exchanges.id = exchange_id)"
    )
    create_preferences_and_corrections()
    create_consents()
    create_training_examples()


def downgrade() -> None:
    for table in ("training_examples", "consents", "corrections", "preferences", "quotes", "exchange_places"):
        op.drop_table(table)
    replace_deliveries(create_former_deliveries)
    for index in ("source_question_id", "variant_of", "user_id"):
        op.drop_index(op.f(f"ix_exchanges_{index}"), "exchanges")
    op.drop_column("exchanges", "question_id")
    op.drop_column("exchanges", "variant_of")
    create_conversations()
    op.execute(
        "INSERT INTO conversations (id, source, model, updated_at)"
        " SELECT id, source, model, updated_at FROM places WHERE model IS NOT NULL"
    )
    op.drop_table("places")


def create_places() -> None:
    op.create_table(
        "places",
        column("id", sa.String(), "The chat platform's id, unique over all platforms"),
        column("source", sa.String(), "Chat platform it belongs to"),
        column("model", sa.String(), 'Canonical blend spec that answers here, or "base"', nullable=True),
        column("identity", sa.String(), "How a persona shows itself: message, webhook or profile", nullable=True),
        column("is_free_talk", sa.Boolean(), "Whether every message here is answered", nullable=True),
        column("is_text_kept", sa.Boolean(), "Whether its administrators let text be kept", nullable=True),
        column("updated_at", sa.Double(), "When something was last chosen, UTC unix seconds"),
        sa.CheckConstraint("identity IN ('message', 'webhook', 'profile')", name=op.f("ck_places_identity_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_places")),
    )


def create_conversations() -> None:
    op.create_table(
        "conversations",
        column("id", sa.String(), "The chat platform's id, unique over all platforms"),
        column("source", sa.String(), "Chat platform it belongs to"),
        column("model", sa.String(), 'Canonical blend spec that answers here, or "base"'),
        column("updated_at", sa.Double(), "When the model was last chosen, UTC unix seconds"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )


def add_variants_and_questions() -> None:
    """Columns are added in place: a table that others refer to cannot be rebuilt within SQLite's transaction."""
    op.add_column(
        "exchanges",
        sa.Column(
            "variant_of",
            sa.String(),
            sa.ForeignKey("exchanges.id", name=op.f("fk_exchanges_exchanges")),
            comment="First reply to the same question; NULL for the first itself",
            nullable=True,
        ),
        inline_references=True,
    )
    op.add_column(
        "exchanges", column("question_id", sa.String(), "The platform's id of the message that asked", nullable=True)
    )
    op.create_index(op.f("ix_exchanges_variant_of"), "exchanges", ["variant_of"])
    op.create_index(op.f("ix_exchanges_source_question_id"), "exchanges", ["source", "question_id"])
    op.create_index(op.f("ix_exchanges_user_id"), "exchanges", ["user_id"])


def create_exchange_places_and_quotes() -> None:
    op.create_table(
        "exchange_places",
        column("exchange_id", sa.String(), "What took place"),
        column("place_id", sa.String(), "The chat platform's id of the place"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_exchange_places_exchanges")),
        sa.PrimaryKeyConstraint("exchange_id", "place_id", name=op.f("pk_exchange_places")),
    )
    op.create_index(op.f("ix_exchange_places_place_id"), "exchange_places", ["place_id"])
    op.create_table(
        "quotes",
        column("exchange_id", sa.String(), "Where it stands"),
        column("message_id", sa.String(), "The platform's id of the message"),
        column("user_id", sa.String(), "Who wrote it"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_quotes_exchanges")),
        sa.PrimaryKeyConstraint("exchange_id", "message_id", name=op.f("pk_quotes")),
    )
    op.create_index(op.f("ix_quotes_message_id"), "quotes", ["message_id"])
    op.create_index(op.f("ix_quotes_user_id"), "quotes", ["user_id"])


def replace_deliveries(create: Any, more_columns: str = "", more_values: str = "") -> None:
    """Rebuild the table, which nothing refers to, with the rows it has."""
    op.execute("CREATE TABLE former_deliveries AS SELECT source, message_id, exchange_id FROM deliveries")
    op.drop_table("deliveries")
    create()
    columns, values = (
        f"source, message_id, exchange_id{', ' if more else ''}{more}" for more in (more_columns, more_values)
    )
    op.execute(f"INSERT INTO deliveries ({columns}) SELECT {values} FROM former_deliveries")  # noqa: S608 - ours
    op.drop_table("former_deliveries")


def create_deliveries() -> None:
    create_former_deliveries(
        column("position", sa.Integer(), "Page of the reply, from 0"),
        column("is_final", sa.Boolean(), "Whether it shows the end of the reply, or why there is none"),
        column("token", sa.String(), "What the platform wants to see before it lets it be edited", nullable=True),
        column("created_at", sa.Double(), "When it was first posted, UTC unix seconds"),
        sa.CheckConstraint("NOT is_final OR token IS NULL", name=op.f("ck_deliveries_token_erased_when_final")),
    )


def create_former_deliveries(*more: Any) -> None:
    op.create_table(
        "deliveries",
        column("source", sa.String(), "Chat platform of the message"),
        column("message_id", sa.String(), "The message's id, unique within the platform"),
        column("exchange_id", sa.String(), "The exchange it shows"),
        *more,
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_deliveries_exchanges")),
        sa.PrimaryKeyConstraint("source", "message_id", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_exchange_id"), "deliveries", ["exchange_id"])


def create_preferences_and_corrections() -> None:
    op.create_table(
        "preferences",
        column("user_id", sa.String(), "Who chose"),
        column("rejected_id", sa.String(), "Exchange not chosen"),
        column("chosen_id", sa.String(), "Exchange chosen instead"),
        column("source", sa.String(), "Where the choice was made"),
        column("given_at", sa.Double(), "When it was made, UTC unix seconds"),
        sa.CheckConstraint("chosen_id <> rejected_id", name=op.f("ck_preferences_between_two")),
        sa.ForeignKeyConstraint(["rejected_id"], ["exchanges.id"], name=op.f("fk_preferences_rejected")),
        sa.ForeignKeyConstraint(["chosen_id"], ["exchanges.id"], name=op.f("fk_preferences_chosen")),
        sa.PrimaryKeyConstraint("user_id", "rejected_id", name=op.f("pk_preferences")),
    )
    op.create_index(op.f("ix_preferences_chosen_id"), "preferences", ["chosen_id"])
    op.create_table(
        "corrections",
        column("exchange_id", sa.String(), "What is corrected"),
        column("user_id", sa.String(), "Who wrote it"),
        column("text", sa.String(), "The better reply"),
        column("source", sa.String(), "Where it was written"),
        column("given_at", sa.Double(), "When it was written or last changed, UTC unix seconds"),
        sa.CheckConstraint("text <> ''", name=op.f("ck_corrections_text_written")),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_corrections_exchanges")),
        sa.PrimaryKeyConstraint("exchange_id", "user_id", name=op.f("pk_corrections")),
    )


def create_consents() -> None:
    op.create_table(
        "consents",
        column("id", sa.Integer(), "Rises with time"),
        column("user_id", sa.String(), "Who said it"),
        column("version", sa.Integer(), "Version of the words that were agreed to"),
        column("is_given", sa.Boolean(), "Given or withdrawn"),
        column("source", sa.String(), "Where it was said"),
        column("happened_at", sa.Double(), "When, UTC unix seconds"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_user_id"), "consents", ["user_id"])


def create_training_examples() -> None:
    op.create_table(
        "training_examples",
        column("persona", sa.String(), "Slug of the persona"),
        column("base_model", sa.String(), "Slug of the base model"),
        column("version", sa.Integer(), "Version that learnt from it", autoincrement=False),
        column("exchange_id", sa.String(), "What it learnt from"),
        sa.ForeignKeyConstraint(
            ["persona", "base_model", "version"],
            ["adapter_versions.persona", "adapter_versions.base_model", "adapter_versions.version"],
            name=op.f("fk_training_examples_adapter_versions"),
        ),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name=op.f("fk_training_examples_exchanges")),
        sa.PrimaryKeyConstraint("persona", "base_model", "version", "exchange_id", name=op.f("pk_training_examples")),
    )
    op.create_index(op.f("ix_training_examples_exchange_id"), "training_examples", ["exchange_id"])
