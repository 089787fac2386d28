"""What people are told about an adapter version: how it was measured, how its replies are judged, and how a rollout's
two compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout import RolloutStanding
from core.personas import Persona
from core.store.feedback import Tally
from core.thumb_statistics import LikedShare


def evaluation_text(adapter: RegisteredAdapter | None) -> str:
    """The figures that the lineage holds, in a few words; empty when nothing was measured."""
    ratio = _number_in(adapter, "perplexity_ratio")
    rate = _number_in(adapter, "adherence", "adapter_rate")
    parts = ["" if ratio is None else f"perplexity ×{ratio:.2f}", "" if rate is None else f"adherence {rate:.0%}"]
    return ", ".join(filter(None, parts))


def evaluation_of(adapter: RegisteredAdapter | None, *keys: str) -> Any:
    """What the lineage says of the evaluation, or what stands there below `keys`; None where it says nothing."""
    found: Any = None if adapter is None else adapter.lineage
    for key in ("metrics", "evaluation", *keys):
        found = found.get(key) if isinstance(found, dict) else None  # a shipped lineage may hold anything
    return found


def _number_in(adapter: RegisteredAdapter | None, *keys: str) -> float | None:
    number = evaluation_of(adapter, *keys)
    return float(number) if isinstance(number, int | float) else None


def thumbs_text(persona: Persona, champion: RegisteredAdapter | None, thumbs: Sequence[Tally]) -> str:
    """How the replies of the version that answers now were judged; empty when none was."""
    hashes = [] if champion is None else [champion.ref.content_hash]
    mine = [
        tally
        for tally in thumbs
        if tally.model == persona.slug and [adapter["content_hash"] for adapter in tally.adapters] == hashes
    ]
    return f"👍 {sum(tally.up for tally in mine)} · 👎 {sum(tally.down for tally in mine)}" if mine else ""


def liked_text(liked: LikedShare | None) -> str:
    """The share of thumbs up with its interval, and of how many people; "" without a thumb."""
    if liked is None:
        return ""
    people = "person" if liked.people == 1 else "people"
    return f"{liked.share:.0%} liked ({liked.low:.0%} to {liked.high:.0%}) by {liked.people} {people}"


def side_by_side(standing: RolloutStanding) -> list[tuple[str, str, str]]:
    """A rollout's two versions: what is compared, the champion's figure, and the challenger's."""
    shadow, evidence, rows = standing.shadow, standing.evidence, []
    if shadow.replies:
        rows += [
            ("words a reply, unseen", f"{shadow.champion_words:.0f}", f"{shadow.words:.0f}"),
            ("flawed", f"{shadow.champion_flawed:.0%}", f"{shadow.flawed:.0%}"),
            ("voice", f"{shadow.champion_voice:.3f}", f"{shadow.voice:.3f}"),
            ("failed", "", f"{shadow.failed} of {shadow.replies}"),
        ]
    if standing.canary_at is not None:
        share, needed = standing.settings.canary_share, f"of {standing.settings.evidence:g} needed"
        rows += [
            ("new conversations", f"{1 - share:.0%}", f"{share:.0%}"),
            ("👍 · 👎 that count", "{} · {}".format(*evidence.champion), "{} · {}".format(*evidence.challenger)),
            ("share of 👍, 95 %", liked_text(evidence.champion_liked), liked_text(evidence.challenger_liked)),
            ("conversations with a failure", str(standing.failures[1]), str(standing.failures[0])),
            (f"evidence that it is better, {needed}", "", f"{evidence.better:.2g}"),
            (f"evidence that it is worse, {needed}", "", f"{evidence.worse:.2g}"),
        ]
    return rows
