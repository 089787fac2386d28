"""Tables of what people think of replies, and of what they allow."""

from __future__ import annotations

import time

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from core.store.models.base import Base
from core.store.source_names import SourceName


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
