"""Two rollouts with real replies: a broken version that nobody may meet, and one that only people find worse.

    python -m benchmarks.rollout_trial codebeard

The first challenger is the champion with its adapter's B times -1, which leads away from the voice: the shadow must
send it back before a person reads a word of it. The second is the champion with B times 0.9, which no measure tells
apart; simulated people like fewer of its replies than of the champion's, and their thumbs must send it back from the
canary. Everything else is real: service, queue, worker, engine, ledger and statistics. Settings are those of `personas`
(PERSONAS_DATA_DIR and so on); the data folder should be a fresh one, as both versions stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from benchmarks.trial_people import BY, Answer, Crowd, add_version, champion_of
from bot.service.service import Service
from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout import RolloutStanding, read_standing
from core.adapters.rollout_moves import start_rollout, steer
from core.errors import PersonasError
from core.personas import RolloutTable, find_persona
from core.settings import Settings, load_settings
from core.store import feedback
from core.store.models import Exchange
from core.worker.rollout_watch import RolloutWatch
from training.fixed_prompts import read_prompts

UNSEEN_AT_ONCE = 4  # half of the slots, so that each reply has room for an unseen one
MOST_REPLIES = 3  # times as many replies as are wanted unseen, and thumbs as may count; then it is given up
AS_PLANNED, OTHERWISE = 0, 1


@dataclass(frozen=True)
class Plan:
    """`likes` are the shares of replies that people like, the challenger's and the champion's."""

    slug: str
    rules: RolloutTable
    people: int = 60
    max_new_tokens: int = 40
    likes: tuple[float, float] = (0.4, 0.7)
    broken: float = -1.0
    nearly: float = 0.9
    seed: int = 1


@dataclass(slots=True)
class Trial:
    """One challenger's way, from its first unseen reply on. `met` are replies of it that a person read."""

    plan: Plan
    service: Service
    watch: RolloutWatch
    challenger: RegisteredAdapter
    crowd: Crowd
    random: random.Random
    asked_in: dict[str, int] = field(default_factory=lambda: {"shadow": 0, "canary": 0})

    async def run(self) -> dict[str, Any]:
        """Ask until it is decided. A challenger that gets no verdict is taken out of the way."""
        started = time.monotonic()
        await self.watch.look()
        while (standing := await self.standing()).is_running and not self._is_hopeless():
            is_canary = standing.stage == "canary"
            at_once = self.service.settings.slots if is_canary else UNSEEN_AT_ONCE
            answers = await asyncio.gather(*(self.crowd.ask() for _ in range(at_once)))
            self.asked_in[standing.stage] += at_once
            if is_canary:
                await self._judge(answers)
            await self.watch.look()
        if standing.is_running:
            where = (self.service.store, standing.persona, standing.base_model)
            await steer(*where, "abort", by=BY, why="No verdict within the trial.")
            standing = await self.standing()
        return self._report(standing, await self._met(), time.monotonic() - started)

    async def standing(self) -> RolloutStanding:
        async with self.service.store.read() as session:
            found = await read_standing(session, self.plan.slug, self.service.settings.base_slug)
        assert found is not None
        return found

    def _is_hopeless(self) -> bool:
        rules = self.plan.rules
        wanted = {"shadow": rules.shadow_replies, "canary": rules.max_votes}
        return any(count > MOST_REPLIES * wanted[stage] + 100 for stage, count in self.asked_in.items())

    async def _judge(self, answers: list[Answer]) -> None:
        of_challenger, of_champion = self.plan.likes
        for answer in answers:
            share = of_challenger if answer.content_hash == self.challenger.ref.content_hash else of_champion
            label = self.random.random() < share
            async with self.service.store.write() as session:
                await feedback.record(
                    session, exchange_id=answer.exchange_id, user_id=answer.person, label=label, source="api"
                )

    async def _met(self) -> int:
        """Everything in the ledger that this version wrote: what is there, somebody could read."""
        async with self.service.store.read() as session:
            adapters = await session.scalars(select(Exchange.adapters).where(Exchange.model == self.plan.slug))
            content_hash = self.challenger.ref.content_hash
            return sum(share["content_hash"] == content_hash for shares in adapters for share in shares)

    def _report(self, standing: RolloutStanding, met: int, seconds: float) -> dict[str, Any]:
        return {
            "challenger": self.challenger.ref.name,
            "b_times": self.challenger.lineage["b_times"],
            "replies_in_shadow": self.asked_in["shadow"],
            "replies_in_canary": self.asked_in["canary"],
            "met": met,
            "seconds": round(seconds, 1),
            "standing": standing.to_dict(),
        }


async def run_trials(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Both rollouts, one after the other, on one service."""
    service = await Service.open(settings, sources=("api",))
    try:
        champion = await champion_of(service, find_persona(service.personas, plan.slug).slug)
        await service.start()
        watch = RolloutWatch(
            service.store, service.registry, service.personas, settings.base_slug, service.worker.shadow
        )
        crowd = Crowd(service, plan.slug, read_prompts("everyday"), plan.people, plan.max_new_tokens)
        reports = {}
        for name, factor in (("broken", plan.broken), ("nearly", plan.nearly)):
            challenger = await add_version(service, champion, factor)
            where = (service.store, plan.slug, settings.base_slug, challenger.version)
            reason = f"The {name} one of a trial."
            await start_rollout(*where, plan.rules, over=champion.version, by=BY, reason=reason)
            trial = Trial(plan, service, watch, challenger, crowd, random.Random(plan.seed))
            reports[name] = await trial.run()
        answers = (await champion_of(service, plan.slug)).version
    finally:
        await service.stop()
    return {
        "base_model": settings.base_model,
        "persona": plan.slug,
        "champion": champion.version,
        "answers_in_the_end": answers,
        "likes": dict(zip(("challenger", "champion"), plan.likes, strict=True)),
        **reports,
    }


def is_as_planned(report: dict[str, Any]) -> bool:
    """The broken one went back unseen, the other one by people's thumbs, and the champion still answers."""
    broken, nearly = report["broken"], report["nearly"]
    was_caught = broken["standing"]["outcome"] == "rolled_back" and broken["met"] == broken["replies_in_canary"] == 0
    disliked = nearly["standing"]["thumbs"]["evidence_worse"] >= nearly["standing"]["settings"]["evidence"]
    was_disliked = nearly["standing"]["outcome"] == "rolled_back" and nearly["met"] > 0 and disliked
    return was_caught and was_disliked and report["answers_in_the_end"] == report["champion"]


def _shadow(name: str) -> Callable[[dict[str, Any]], str]:
    def both(trial: dict[str, Any]) -> str:
        shadow = trial["standing"]["shadow"]
        return f"{shadow[name]:.3g} beside {shadow[f'champion_{name}']:.3g}"

    return both


def _thumbs(side: str) -> Callable[[dict[str, Any]], str]:
    def counts(trial: dict[str, Any]) -> str:
        thumbs = trial["standing"]["thumbs"][side]
        return f"{thumbs['up']} of {thumbs['up'] + thumbs['down']}"

    return counts


ROWS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "unseen replies, failed ones among them": lambda trial: "{replies}, {failed}".format(**trial["standing"]["shadow"]),
    "words a reply, beside the champion's": _shadow("words"),
    "flawed replies": _shadow("flawed"),
    "voice": _shadow("voice"),
    "replies that people got meanwhile": lambda trial: str(trial["replies_in_shadow"]),
    "replies in the canary": lambda trial: str(trial["replies_in_canary"]),
    "**replies of the challenger that a person got**": lambda trial: f"**{trial['met']}**",
    "thumbs up that count, challenger's": _thumbs("challenger"),
    "thumbs up that count, champion's": _thumbs("champion"),
    "people who voted": lambda trial: str(trial["standing"]["thumbs"]["people"]),
    "evidence that it is worse": lambda trial: f"{trial['standing']['thumbs']['evidence_worse']:.3g}",
    "outcome": lambda trial: str(trial["standing"]["outcome"]),
    "why": lambda trial: str(trial["standing"]["reason"]),
    "seconds": lambda trial: f"{trial['seconds']:.0f}",
}


def table(report: dict[str, Any]) -> str:
    """Both rollouts as Markdown."""
    trials = [report["broken"], report["nearly"]]
    heading = " | ".join(f"{trial['challenger']}, B × {trial['b_times']:g}" for trial in trials)
    rows = (f"| {label} | {' | '.join(value(trial) for trial in trials)} |" for label, value in ROWS.items())
    return "\n".join([f"| {report['persona']} | {heading} |", "|---|---|---|", *rows])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("persona")
    parser.add_argument("--shadow-replies", type=int, default=RolloutTable().shadow_replies)
    parser.add_argument("--people", type=int, default=Plan.people, help="of each, five thumbs count at most")
    parser.add_argument("--max-tokens", type=int, default=Plan.max_new_tokens, help="of a reply")
    parser.add_argument("--likes", type=float, nargs=2, default=Plan.likes, metavar=("CHALLENGER", "CHAMPION"))
    parser.add_argument("--broken", type=float, default=Plan.broken, help="B times this in the first challenger")
    parser.add_argument("--nearly", type=float, default=Plan.nearly, help="B times this in the second one")
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of the thumbs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    asked = parser.parse_args(arguments)
    plan = Plan(
        asked.persona,
        RolloutTable(enabled=True, shadow_replies=asked.shadow_replies),
        asked.people,
        asked.max_tokens,
        tuple(asked.likes),
        asked.broken,
        asked.nearly,
        asked.seed,
    )
    try:
        report = asyncio.run(run_trials(load_settings(), plan))
    except PersonasError as error:
        parser.error(str(error))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(table(report))
    return AS_PLANNED if is_as_planned(report) else OTHERWISE


if __name__ == "__main__":
    sys.exit(main())
