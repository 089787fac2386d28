"""The tables. Times are UTC unix seconds; a column's `comment` says what it means. Knows no queries.

Checks, keys and NOT NULLs here hold docs/architecture.md's invariants even against code that forgets them.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.queue.jobs import JobStatus
from core.store.source_names import SourceName, SourceNameType

# none_as_null: without it Python's None is stored as JSON `null`, which NOT NULL lets through.
# JSONB on PostgreSQL because its plain JSON has no equality, which GROUP BY needs.
JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

ALIASES = ("champion", "challenger", "previous")
EVENT_KINDS = ("registered", "gated", "shipped", "promoted", "rolled_back", "rollout")
ROLLOUT_STAGES = ("shadow", "canary", "done")
ROLLOUT_OUTCOMES = ("promoted", "rolled_back", "ended")


def _is_one_of(column: str, values: tuple[str, ...]) -> str:
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


class Place(Base):
    """A server, channel, thread or browser session that chose something. What it left open, a wider one decides."""

    __tablename__ = "places"

    id: Mapped[str] = mapped_column(primary_key=True, comment="The chat platform's id, unique over all platforms")
    source: Mapped[SourceName] = mapped_column(comment="Chat platform it belongs to")
    model: Mapped[str | None] = mapped_column(comment='Canonical blend spec that answers here, or "base"')
    identity: Mapped[str | None] = mapped_column(comment="How a persona shows itself, in the platform's word")
    is_free_talk: Mapped[bool | None] = mapped_column(comment="Whether every message here is answered")
    is_text_kept: Mapped[bool | None] = mapped_column(comment="Whether its administrators let text be kept")
    updated_at: Mapped[float] = mapped_column(comment="When something was last chosen, UTC unix seconds")


class Exchange(Base):
    """The ledger row: one prompt, what was chosen to answer it, and the reply."""

    __tablename__ = "exchanges"
    __table_args__ = (
        UniqueConstraint("source", "event_id"),
        CheckConstraint(_is_one_of("status", tuple(JobStatus)), name="status_known"),
        CheckConstraint("(status IN ('queued', 'running')) = (finished_at IS NULL)", name="finished_when_final"),
        CheckConstraint("model <> '' AND base_model <> ''", name="model_named"),
        CheckConstraint("prompt IS NOT NULL OR reply IS NULL", name="text_kept_whole"),
        Index(None, "status"),
        Index(None, "conversation_id"),
        Index(None, "user_id"),
        Index(None, "source", "question_id"),
        Index(None, "finished_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, comment='"chatcmpl-" and 32 hex digits; also names the job')
    source: Mapped[SourceName] = mapped_column(comment="Chat platform the prompt came from; decides what may train")
    event_id: Mapped[str] = mapped_column(comment="The platform's id of the event; one event is answered once")
    conversation_id: Mapped[str] = mapped_column(comment="Conversation it belongs to")
    user_id: Mapped[str] = mapped_column(comment="Who asked, as the platform names them")
    model: Mapped[str] = mapped_column(comment='Canonical blend spec that answered, or "base"')
    base_model: Mapped[str] = mapped_column(comment="Slug of the base model")
    adapters: Mapped[list[dict[str, Any]]] = mapped_column(
        comment="Adapter versions that answered: [{name, content_hash, weight}]"
    )
    seed: Mapped[int] = mapped_column(BigInteger, comment="Seed the reply was drawn with")
    sampling: Mapped[dict[str, Any]] = mapped_column(comment="Every sampling parameter, the seed included")
    prompt: Mapped[list[dict[str, Any]] | None] = mapped_column(
        comment="Messages up to the question; NULL when text may not be kept"
    )
    status: Mapped[str] = mapped_column(comment="queued, running, succeeded, failed or cancelled")
    reply: Mapped[str | None] = mapped_column(comment="The reply's text; NULL when text may not be kept")
    finish_reason: Mapped[str | None] = mapped_column(comment="stop, length, cancelled or error")
    prompt_tokens: Mapped[int | None] = mapped_column(comment="Tokens of the prompt")
    completion_tokens: Mapped[int | None] = mapped_column(comment="Tokens of the reply")
    cached_tokens: Mapped[int | None] = mapped_column(comment="Prompt tokens a kept slot had already prefilled")
    error: Mapped[str | None] = mapped_column(comment="Sentence for the user when it failed")
    created_at: Mapped[float] = mapped_column(default=time.time, comment="When it was queued, UTC unix seconds")
    started_at: Mapped[float | None] = mapped_column(comment="When a worker took it, UTC unix seconds")
    finished_at: Mapped[float | None] = mapped_column(comment="When it was settled, UTC unix seconds")
    variant_of: Mapped[str | None] = mapped_column(
        ForeignKey("exchanges.id"), index=True, comment="First reply to the same question; NULL for the first itself"
    )
    question_id: Mapped[str | None] = mapped_column(comment="The platform's id of the message that asked")


class ExchangePlace(Base):
    """Where an exchange took place, so that a place can be forgotten: thread, channel and server are a row each."""

    __tablename__ = "exchange_places"

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="What took place")
    place_id: Mapped[str] = mapped_column(primary_key=True, index=True, comment="The chat platform's id of the place")


class Quote(Base):
    """A chat message whose words stand in an exchange's kept text: they go when its author or its deletion says so."""

    __tablename__ = "quotes"

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="Where it stands")
    message_id: Mapped[str] = mapped_column(primary_key=True, index=True, comment="The platform's id of the message")
    user_id: Mapped[str] = mapped_column(index=True, comment="Who wrote it")


class Delivery(Base):
    """A chat message that shows an exchange's reply; a reaction to it is feedback on the exchange."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("NOT is_final OR token IS NULL", name="token_erased_when_final"),
        Index(None, "source", "created_at"),
    )

    source: Mapped[SourceName] = mapped_column(primary_key=True, comment="Chat platform of the message")
    message_id: Mapped[str] = mapped_column(primary_key=True, comment="The message's id, unique within the platform")
    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), index=True, comment="The exchange it shows")
    position: Mapped[int] = mapped_column(comment="Page of the reply, from 0")
    is_final: Mapped[bool] = mapped_column(comment="Whether it shows the end of the reply, or why there is none")
    token: Mapped[str | None] = mapped_column(comment="What the platform wants to see before it lets it be edited")
    created_at: Mapped[float] = mapped_column(default=time.time, comment="When it was first posted, UTC unix seconds")
    head_chars: Mapped[int | None] = mapped_column(
        comment="Characters above the reply's own words; NULL before its end"
    )
    tail_chars: Mapped[int | None] = mapped_column(comment="Characters below them; NULL before its end")


IS_OPEN = Delivery.is_final == false()
"""Deliveries that wait for their end: a few among millions, so they have an index of their own."""
Index("ix_deliveries_open", Delivery.source, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)


class Feedback(Base):
    """One person's judgement of one exchange. The key allows no second one; the foreign key allows no silent loss."""

    __tablename__ = "feedback"

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="What is judged")
    user_id: Mapped[str] = mapped_column(primary_key=True, index=True, comment="Who judges")
    label: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="label"), comment="Thumbs up or down")
    source: Mapped[SourceName] = mapped_column(comment="Where the judgement was given")
    given_at: Mapped[float] = mapped_column(comment="When it was given or last changed, UTC unix seconds")


class VoidThumbs(Base):
    """An exchange under which a thumb may stand that counts no more: its giver was forgotten, or took it back here."""

    __tablename__ = "void_thumbs"

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="What was judged")


class Preference(Base):
    """One person's choice between two replies to the same question. The key allows no second choice against one."""

    __tablename__ = "preferences"
    __table_args__ = (CheckConstraint("chosen_id <> rejected_id", name="between_two"),)

    user_id: Mapped[str] = mapped_column(primary_key=True, comment="Who chose")
    rejected_id: Mapped[str] = mapped_column(
        ForeignKey("exchanges.id", name="fk_preferences_rejected"), primary_key=True, comment="Exchange not chosen"
    )
    chosen_id: Mapped[str] = mapped_column(
        ForeignKey("exchanges.id", name="fk_preferences_chosen"), index=True, comment="Exchange chosen instead"
    )
    source: Mapped[SourceName] = mapped_column(comment="Where the choice was made")
    given_at: Mapped[float] = mapped_column(comment="When it was made, UTC unix seconds")
    is_tie: Mapped[bool] = mapped_column(
        default=False, server_default=false(), comment="Both are as good; trains nothing"
    )


class Duel(Base):
    """Two versions of a persona answered one prompt, unnamed. A person's preference between the two is a vote."""

    __tablename__ = "duels"
    __table_args__ = (CheckConstraint("first_id <> second_id", name="between_two"),)

    first_id: Mapped[str] = mapped_column(
        ForeignKey("exchanges.id", name="fk_duels_first"), primary_key=True, comment="Exchange that was shown first"
    )
    second_id: Mapped[str] = mapped_column(
        ForeignKey("exchanges.id", name="fk_duels_second"), unique=True, comment="Exchange that was shown second"
    )


class Correction(Base):
    """The reply that a person would rather have read. Latest per person and exchange."""

    __tablename__ = "corrections"
    __table_args__ = (CheckConstraint("text <> ''", name="text_written"),)

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="What is corrected")
    user_id: Mapped[str] = mapped_column(primary_key=True, index=True, comment="Who wrote it")
    text: Mapped[str] = mapped_column(comment="The better reply")
    source: Mapped[SourceName] = mapped_column(comment="Where it was written")
    given_at: Mapped[float] = mapped_column(comment="When it was written or last changed, UTC unix seconds")


class Consent(Base):
    """One yes or no to keeping a person's text. The latest counts, and only for the version of the words it names."""

    __tablename__ = "consents"

    id: Mapped[int] = mapped_column(primary_key=True, comment="Rises with time")
    user_id: Mapped[str] = mapped_column(index=True, comment="Who said it")
    version: Mapped[int] = mapped_column(comment="Version of the words that were agreed to")
    is_given: Mapped[bool] = mapped_column(comment="Given or withdrawn")
    source: Mapped[SourceName] = mapped_column(comment="Where it was said")
    happened_at: Mapped[float] = mapped_column(default=time.time, comment="When, UTC unix seconds")


class AdapterVersion(Base):
    """An immutable adapter of a persona for a base model: where its folder is and what it holds."""

    __tablename__ = "adapter_versions"
    __table_args__ = (
        UniqueConstraint("persona", "base_model", "content_hash"),
        CheckConstraint("version >= 1", name="version_positive"),
        CheckConstraint("root IN ('bundled', 'data')", name="root_known"),
        CheckConstraint("origin IN ('bundled', 'trained')", name="origin_known"),
        CheckConstraint("length(content_hash) = 64", name="content_hash_sha256"),
    )

    persona: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the base model")
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="1, 2, 3 ... as registered")
    content_hash: Mapped[str] = mapped_column(comment="sha256 of weights and config")
    root: Mapped[str] = mapped_column(comment="Folder the path starts from: bundled personas or data")
    path: Mapped[str] = mapped_column(comment="Adapter folder below the root, with forward slashes")
    origin: Mapped[str] = mapped_column(comment="bundled with the personas, or trained here")
    lineage: Mapped[dict[str, Any]] = mapped_column(comment="How it was made: data hash, recipe, code version, seed")
    gate_passed: Mapped[bool | None] = mapped_column(comment="Whether it beat the champion; NULL before it was tried")
    gate_report: Mapped[dict[str, Any] | None] = mapped_column(comment="The gate's verdict; NULL before it was tried")
    created_at: Mapped[float] = mapped_column(default=time.time, comment="When it was registered, UTC unix seconds")


VERSION_KEY = ["adapter_versions.persona", "adapter_versions.base_model", "adapter_versions.version"]


class AdapterAlias(Base):
    """A movable name. Its foreign key holds it to a version of the same persona and base model."""

    __tablename__ = "adapter_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["persona", "base_model", "version"], VERSION_KEY),
        CheckConstraint(_is_one_of("alias", ALIASES), name="alias_known"),
    )

    persona: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the base model")
    alias: Mapped[str] = mapped_column(primary_key=True, comment="champion, challenger or previous")
    version: Mapped[int] = mapped_column(comment="Version it points at")


class RegistryEvent(Base):
    """What happened to a persona's versions, by whom. A promotion without a passing gate cannot be written unforced."""

    __tablename__ = "registry_events"
    __table_args__ = (
        ForeignKeyConstraint(["persona", "base_model", "version"], VERSION_KEY),
        CheckConstraint(_is_one_of("kind", EVENT_KINDS), name="kind_known"),
        # IS TRUE, because a NULL gate would make the whole check NULL, which passes.
        CheckConstraint("kind <> 'promoted' OR gate_passed IS TRUE OR is_forced", name="promotion_gated_or_forced"),
        CheckConstraint("actor <> ''", name="actor_named"),
        Index(None, "persona", "base_model"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, comment="Rises with time")
    persona: Mapped[str] = mapped_column(comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(comment="Slug of the base model")
    kind: Mapped[str] = mapped_column(comment="registered, gated, shipped, promoted, rolled_back or rollout")
    version: Mapped[int] = mapped_column(comment="Version it happened to")
    former_champion: Mapped[int | None] = mapped_column(comment="Version the champion moved away from")
    gate_passed: Mapped[bool | None] = mapped_column(comment="The version's gate at that time")
    is_forced: Mapped[bool] = mapped_column(default=False, comment="Promoted without a passing gate")
    actor: Mapped[str] = mapped_column(comment="Who did it")
    reason: Mapped[str | None] = mapped_column(comment="Why, in a sentence")
    happened_at: Mapped[float] = mapped_column(default=time.time, comment="When, UTC unix seconds")


class TrainingExample(Base):
    """An exchange that an adapter version was trained on, so that forgetting can name the versions it touches."""

    __tablename__ = "training_examples"
    __table_args__ = (ForeignKeyConstraint(["persona", "base_model", "version"], VERSION_KEY),)

    persona: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the base model")
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="Version that learnt from it")
    exchange_id: Mapped[str] = mapped_column(
        ForeignKey("exchanges.id"), primary_key=True, index=True, comment="What it learnt from"
    )


class Rollout(Base):
    """How far a challenger has come that meets people step by step: the running rollout of a persona, or the last."""

    __tablename__ = "rollouts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["persona", "base_model", "challenger"], VERSION_KEY, name="fk_rollouts_challenger_adapter_versions"
        ),
        ForeignKeyConstraint(
            ["persona", "base_model", "champion"], VERSION_KEY, name="fk_rollouts_champion_adapter_versions"
        ),
        CheckConstraint(_is_one_of("stage", ROLLOUT_STAGES), name="stage_known"),
        CheckConstraint(_is_one_of("outcome", ROLLOUT_OUTCOMES), name="outcome_known"),
        CheckConstraint("(stage = 'done') = (outcome IS NOT NULL)", name="outcome_when_done"),
        CheckConstraint("challenger <> champion", name="between_two"),
    )

    persona: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(primary_key=True, comment="Slug of the base model")
    challenger: Mapped[int] = mapped_column(comment="Version that is tried")
    champion: Mapped[int] = mapped_column(comment="Version that answered when it began")
    stage: Mapped[str] = mapped_column(comment="shadow, canary or done")
    is_paused: Mapped[bool] = mapped_column(comment="Whether nothing is decided and nobody new meets the challenger")
    settings: Mapped[dict[str, Any]] = mapped_column(comment="The rollout table of persona.toml as it began")
    started_at: Mapped[float] = mapped_column(comment="When it began, UTC unix seconds")
    canary_at: Mapped[float | None] = mapped_column(comment="When people began to meet the challenger; NULL before")
    ended_at: Mapped[float | None] = mapped_column(comment="When it ended, UTC unix seconds")
    outcome: Mapped[str | None] = mapped_column(comment="promoted, rolled_back or ended by something else")
    reason: Mapped[str | None] = mapped_column(comment="Why it stands where it stands, in a sentence")


class ShadowReply(Base):
    """What was measured of a reply that nobody saw, beside the one that was shown. Its words are not kept."""

    __tablename__ = "shadow_replies"
    __table_args__ = (
        ForeignKeyConstraint(
            ["persona", "base_model", "challenger"], VERSION_KEY, name="fk_shadow_replies_adapter_versions"
        ),
        Index(None, "persona", "base_model", "challenger"),
    )

    exchange_id: Mapped[str] = mapped_column(ForeignKey("exchanges.id"), primary_key=True, comment="What was shown")
    persona: Mapped[str] = mapped_column(comment="Slug of the persona")
    base_model: Mapped[str] = mapped_column(comment="Slug of the base model")
    challenger: Mapped[int] = mapped_column(comment="Version that answered unseen")
    champion_words: Mapped[int] = mapped_column(comment="Words of the reply that was shown")
    challenger_words: Mapped[int] = mapped_column(comment="Words of the unseen reply")
    champion_is_flawed: Mapped[bool] = mapped_column(comment="Whether the shown reply repeats itself or is garbage")
    challenger_is_flawed: Mapped[bool] = mapped_column(comment="The same of the unseen one")
    champion_voice: Mapped[float] = mapped_column(comment="How much the shown reply sounds like the persona's rows")
    challenger_voice: Mapped[float] = mapped_column(comment="The same of the unseen one")
    has_failed: Mapped[bool] = mapped_column(comment="Whether the challenger ended with an error")
    happened_at: Mapped[float] = mapped_column(default=time.time, comment="When, UTC unix seconds")
