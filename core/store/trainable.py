"""What people's judgements may train: one query over the one view that decides it. Knows no rules against abuse."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Boolean, ColumnElement, Double, Integer, String, case, column, literal, or_, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from core.messages import ChatMessage
from core.store.consent import CONSENT_VERSION
from core.store.models import JSON_VALUE

Kind = Literal["thumb", "pick", "correction"]
Obstacle = Literal[
    "text_not_kept",
    "consent",
    "not_alone",
    "base_model",
    "version_unknown",
    "cut_short",
    "source",
    "cool_down",
]
"""Why a judgement may not train, the first that applies; each is explained where it is found, below."""

_COLUMNS: dict[str, Any] = {
    "kind": String(),
    "user_id": String(),
    "source": String(),
    "given_at": Double(),
    "label": Boolean(),
    "text": String(),
    "exchange_id": String(),
    "exchange_source": String(),
    "model": String(),
    "base_model": String(),
    "version": Integer(),
    "finish_reason": String(),
    "prompt": JSON_VALUE,
    "reply": String(),
    "rejected_id": String(),
    "rejected_source": String(),
    "rejected_model": String(),
    "rejected_base_model": String(),
    "rejected_version": Integer(),
    "rejected_finish_reason": String(),
    "rejected_reply": String(),
    "consent": Integer(),
}
VIEW = table("trainable_feedback", *(column(name, type_) for name, type_ in _COLUMNS.items()))


@dataclass(frozen=True, slots=True)
class Signal:
    """One thumb, one better answer, or one of the pairs that a pick makes.

    Where there is an `obstacle`, no text was read: `prompt`, `reply`, `rejected_reply` and `text` are empty. `prompt`
    is the conversation without the persona's system prompt. `rejected_id` is the reply that a pick was made against,
    and `text` the better answer.
    """

    kind: Kind
    exchange_id: str
    user_id: str
    source: str
    given_at: float
    label: bool | None = None
    rejected_id: str | None = None
    obstacle: Obstacle | None = None
    prompt: tuple[ChatMessage, ...] = ()
    reply: str = ""
    rejected_reply: str = ""
    text: str = ""


async def find(
    session: AsyncSession, *, persona: str, base_model: str, sources: Collection[str], given_before: float
) -> list[Signal]:
    """Everything that people said of this persona's replies on any base model, alone or in a blend, the oldest first.

    `sources` may train. What was given at `given_before` (unix seconds) or later waits.
    """
    c = VIEW.c
    obstacle = _obstacle(persona, base_model, frozenset(sources), given_before).label("obstacle")
    texts = [case((obstacle.is_(None), c[name])).label(name) for name in ("prompt", "reply", "rejected_reply", "text")]
    facts = [c[name] for name in ("kind", "exchange_id", "user_id", "source", "given_at", "label", "rejected_id")]
    involved = or_(_names(c.model, persona), _names(c.rejected_model, persona))
    statement = select(*facts, obstacle, *texts).where(involved)
    ordered = statement.order_by(c.given_at, c.exchange_id, c.kind, c.user_id, c.rejected_id)
    return [_signal(dict(row)) for row in (await session.execute(ordered)).mappings()]


def _obstacle(persona: str, base_model: str, sources: Collection[str], given_before: float) -> ColumnElement[Any]:
    c = VIEW.c
    of_reply = c.kind.in_(("thumb", "pick"))  # a better answer is a person's own, whatever it was given for
    return case(
        (or_(c.prompt.is_(None), c.reply.is_(None), c.rejected_reply.is_(None)), "text_not_kept"),
        # Everybody whose words it holds, and who judged, agrees to the present words; NULL where none need to.
        (c.consent != CONSENT_VERSION, "consent"),
        # A blend's reply, or one at half strength, is nobody's alone.
        (or_(c.model != persona, c.rejected_model != persona), "not_alone"),
        (of_reply & or_(c.base_model != base_model, c.rejected_base_model != base_model), "base_model"),
        # Weights that the registry does not know, or none.
        (of_reply & or_(c.version.is_(None), c.rejected_version.is_(None)), "version_unknown"),
        # A reply that reached its limit would teach to stop in the middle of a sentence.
        (of_reply & or_(_is_cut(c.finish_reason), _is_cut(c.rejected_finish_reason)), "cut_short"),
        # Where the words come from, and where they were judged. After all that no setting would change.
        (or_(*(name.not_in(sources) for name in (c.source, c.exchange_source, c.rejected_source))), "source"),
        (c.given_at >= given_before, "cool_down"),
    )


def _is_cut(finish_reason: ColumnElement[Any]) -> ColumnElement[bool]:
    return finish_reason.is_distinct_from("stop")


def _names(model: ColumnElement[Any], persona: str) -> ColumnElement[bool]:
    """True for a blend that this persona is part of."""
    spec = literal("+") + model + literal("+")
    return or_(spec.contains(f"+{persona}+", autoescape=True), spec.contains(f"+{persona}:", autoescape=True))


def _signal(row: dict[str, Any]) -> Signal:
    prompt = tuple(ChatMessage(turn["role"], turn["content"]) for turn in row.pop("prompt") or ())
    texts: dict[str, Any] = {name: row.pop(name) or "" for name in ("reply", "rejected_reply", "text")}
    if row["kind"] != "pick":
        texts["rejected_reply"] = ""  # the view has the reply there
    return Signal(**row, prompt=prompt, **texts)
