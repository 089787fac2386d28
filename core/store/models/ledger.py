"""Tables of what was asked, where, and what was answered."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from core.queue.jobs import JobStatus
from core.store.models.base import Base, is_one_of
from core.store.source_names import SourceName


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
        CheckConstraint(is_one_of("status", tuple(JobStatus)), name="status_known"),
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
