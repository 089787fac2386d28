"""Tables of adapter versions: their names, their history, what they learnt from, and how they meet people."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.store.models.base import Base, is_one_of

ALIASES = ("champion", "challenger", "previous")
EVENT_KINDS = ("registered", "gated", "shipped", "promoted", "rolled_back", "rollout")
ROLLOUT_STAGES = ("shadow", "canary", "done")
ROLLOUT_OUTCOMES = ("promoted", "rolled_back", "ended")


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
        CheckConstraint(is_one_of("alias", ALIASES), name="alias_known"),
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
        CheckConstraint(is_one_of("kind", EVENT_KINDS), name="kind_known"),
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
        CheckConstraint(is_one_of("stage", ROLLOUT_STAGES), name="stage_known"),
        CheckConstraint(is_one_of("outcome", ROLLOUT_OUTCOMES), name="outcome_known"),
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
