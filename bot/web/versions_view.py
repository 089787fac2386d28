"""What the page of adapter versions shows, gathered from registry and ledger. Knows no HTTP and no HTML."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.chat.adapter_cards import evaluation_text, liked_text, side_by_side
from bot.web.service_view import Service
from bot.web.thumb_chart import Chart, day, draw
from core.adapters.card import Event, card_text, standing
from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout import RolloutStanding, read_standing
from core.personas import Persona, find_persona
from core.store import adapter_versions, feedback
from core.thumb_statistics import Thumb, liked_share, over_time

MARKS = {True: "met", False: "falls short", None: "not judged"}
STEPS = {"shadow": "step 1 of 2: unseen", "canary": "step 2 of 2: people judge"}
GATES = {True: "gate passed", False: "gate failed", None: "no gate yet"}


@dataclass(frozen=True, slots=True)
class PersonaLine:
    """A persona in the list of all: who answers for it, and whether a challenger waits."""

    persona: Persona
    champion: RegisteredAdapter | None
    versions: int
    challenger: str | None
    evaluation: str
    liked: str


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A number of the gate against its threshold, as texts."""

    text: str
    champion: str
    value: str
    asked: str
    mark: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """One adapter version. `reasons` are why its gate failed, where `standing` does not say so; `card` is
    Markdown."""

    adapter: RegisteredAdapter
    standing: str
    gate: str
    reasons: tuple[str, ...]
    checks: tuple[CheckRow, ...]
    evaluation: str
    liked: str
    counts: str
    chart: Chart | None
    card: str

    @property
    def is_champion(self) -> bool:
        return "champion" in self.adapter.aliases


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A running rollout. `rows` are what is compared, with the champion's figure and the challenger's."""

    standing: RolloutStanding
    step: str
    rows: tuple[tuple[str, str, str], ...]
    began: str


@dataclass(frozen=True, slots=True)
class PersonaVersions:
    """All versions of a persona, the newest first. `rollout` is None where none is running."""

    persona: Persona
    base_model: str
    champion: RegisteredAdapter | None
    previous: RegisteredAdapter | None
    versions: tuple[VersionView, ...]
    rollout: RolloutView | None = None


async def all_personas(service: Service) -> list[PersonaLine]:
    """Every persona in a line. Raises StoreUnavailable."""
    base = service.settings.base_slug
    lines = []
    async with service.store.read() as session:
        for slug, persona in service.personas.items():
            versions = await service.registry.versions(session, slug, base)
            champion = _named(versions, "champion")
            challenger = _named(versions, "challenger")
            thumbs = await feedback.thumbs_by_version(session, slug, base) if champion else {}
            liked = liked_share(thumbs.get(champion.ref.content_hash, ())) if champion else None
            lines.append(
                PersonaLine(
                    persona,
                    champion,
                    len(versions),
                    challenger.ref.name if challenger else None,
                    evaluation_text(champion),
                    liked_text(liked),
                )
            )
    return lines


async def persona_versions(service: Service, slug: str) -> PersonaVersions:
    """Raises NotFound for an unknown persona, and StoreUnavailable."""
    persona, base = find_persona(service.personas, slug), service.settings.base_slug
    async with service.store.read() as session:
        versions = await service.registry.versions(session, persona.slug, base)
        events = await adapter_versions.events(session, persona.slug, base)
        thumbs = await feedback.thumbs_by_version(session, persona.slug, base)
        rollout = await read_standing(session, persona.slug, base)
    now = time.time()
    begin = min((thumb.given_at for given in thumbs.values() for thumb in given), default=now)
    views = [_view(one, events, thumbs.get(one.ref.content_hash, ()), begin, now) for one in reversed(versions)]
    champion, previous = _named(versions, "champion"), _named(versions, "previous")
    running = _rollout_view(rollout) if rollout is not None and rollout.is_running else None
    return PersonaVersions(persona, service.settings.base_model, champion, previous, tuple(views), running)


def _rollout_view(standing: RolloutStanding) -> RolloutView:
    return RolloutView(standing, STEPS[standing.stage], tuple(side_by_side(standing)), day(standing.started_at))


def _view(
    adapter: RegisteredAdapter, events: Sequence[Event], thumbs: Sequence[Thumb], begin: float, now: float
) -> VersionView:
    liked = liked_share(thumbs)
    report = adapter.gate_report or {}
    reasons = report.get("reasons")
    checks = report.get("checks")
    why = standing(adapter, [event for event in events if event.version == adapter.version])
    return VersionView(
        adapter=adapter,
        standing=why,
        gate=GATES[adapter.gate_passed],
        reasons=tuple(text for text in map(str, reasons) if text not in why) if isinstance(reasons, list) else (),
        checks=tuple(_row(one) for one in checks if isinstance(one, Mapping)) if isinstance(checks, list) else (),
        evaluation=evaluation_text(adapter),
        liked=liked_text(liked),
        counts=f"👍 {liked.up} · 👎 {liked.down}" if liked else "",
        chart=draw(over_time(thumbs, begin, now)),
        card=card_text(adapter, events),
    )


def _row(check: Mapping[str, Any]) -> CheckRow:
    limit, bound = check.get("limit"), "≤" if check.get("is_at_most") else "≥"
    return CheckRow(
        str(check.get("text", "")),
        _shown(check.get("champion")),
        _shown(check.get("value")),
        f"{bound} {limit:g}" if isinstance(limit, int | float) else "",
        MARKS.get(check.get("is_met"), "not judged"),
    )


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else ""


def _named(versions: Sequence[RegisteredAdapter], alias: str) -> RegisteredAdapter | None:
    return next((one for one in versions if alias in one.aliases), None)
