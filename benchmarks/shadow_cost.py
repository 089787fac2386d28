"""What an unseen reply costs the replies that people wait for, and what rollouts cost where none is running.

    python -m benchmarks.shadow_cost

As many people as `--rows` says ask at once, each another persona, of a real service. In turns that alternate, the
worker is as it was before there were rollouts, as it is while nobody is challenged, and with a challenger that answers
unseen beside the first persona, in the same batch. What counts are the steps in which all rows write: their time is
taken between two pieces of one reply. Ratios are taken round by round. Settings are those of `personas`
(PERSONAS_DATA_DIR and so on); the data folder should be a fresh one, as the challenger stays in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.summary import Spread
from benchmarks.trial_people import add_version, champion_of, pieces, question
from bot.service.service import Service
from core.engine.base import EngineStats
from core.errors import NotFound, PersonasError
from core.generation import GenerationRequest, SamplingOverrides
from core.settings import Settings, load_settings
from core.store import rollouts
from core.voice import Voice
from core.worker.shadow import Challenge, Shadow
from training.fixed_prompts import read_prompts

BEFORE, OFF, ON = "without rollouts", "nobody is challenged", "with an unseen reply"
MODES = (BEFORE, OFF, ON)
GOAL = 1.25  # of the step with an unseen reply over the step without
MIN_STEPS = 6  # of a turn, so that its median says something
TRIES = 3  # times as many rounds as wanted: a short reply leaves too few steps
LOOK_UPS = 300
ASK_MORE = " Tell me all about it, at length."


class NoShadow:
    """A worker's shadow from before there was one."""

    challenges: Mapping[str, Challenge] = {}

    def begin(self, request: GenerationRequest, *, free_slots: int) -> None: ...
    def settle(self, exchange_id: str, text: str | None) -> None: ...
    def make_room(self, free_slots: int) -> None: ...
    async def close(self) -> None: ...


@dataclass(slots=True)
class Bench:
    """The service and the three ways its worker may be; the persona that is challenged is the first one."""

    service: Service
    slugs: Sequence[str]
    shadows: Mapping[str, Any]
    max_new_tokens: int

    async def turn(self, mode: str, seed: int) -> list[float]:
        """Seconds of each step in which exactly the wanted rows wrote."""
        self.service.worker.shadow = self.shadows[mode]
        seen: list[tuple[float, EngineStats]] = []
        replies = [self._read(slug, seed, seen if at == 0 else None) for at, slug in enumerate(self.slugs)]
        await asyncio.gather(*replies)
        while self.service.engine.stats().running:  # noqa: ASYNC110 - an unseen reply tells nobody that it ended
            await asyncio.sleep(0.01)
        return _steps(seen, len(self.slugs) + (mode == ON))

    async def _read(self, slug: str, seed: int, seen: list[tuple[float, EngineStats]] | None) -> None:
        place = f"api:cost-{slug}"  # each persona's slot keeps its prompt, so that turns differ in the shadow alone
        prompts = read_prompts("everyday")
        sampling = SamplingOverrides(max_new_tokens=self.max_new_tokens, seed=seed)
        asked = question(slug, prompts[seed % len(prompts)] + ASK_MORE, place, f"api:{slug}", sampling)
        reply = await self.service.responder.open(asked)
        async for _ in pieces(reply):
            if seen is not None:
                seen.append((time.perf_counter(), self.service.engine.stats()))


def _steps(seen: Sequence[tuple[float, EngineStats]], rows: int) -> list[float]:
    """Seconds a step between two pieces, where every row and no other wrote one token in each step."""
    found = []
    for (before_s, before), (after_s, after) in pairwise(seen):
        steps, tokens = after.steps - before.steps, after.tokens_generated - before.tokens_generated
        if steps and before.running == after.running == rows and tokens == rows * steps:
            found.append((after_s - before_s) / steps)
    return found


async def measure(settings: Settings, *, rows: int, rounds: int, max_new_tokens: int, seed: int) -> dict[str, Any]:
    """All rounds on one service. Raises NotFound where fewer personas have an adapter than there are to be rows."""
    service = await Service.open(settings, sources=("api",))
    own = service.worker.shadow
    try:
        async with service.store.read() as session:
            champions = await service.registry.champions(session, service.personas, settings.base_slug)
        if len(champions) < rows:
            raise NotFound(f"Only {len(champions)} personas have an adapter on {settings.base_model}; ask for less.")
        slugs = list(champions)[:rows]
        champion = await champion_of(service, slugs[0])
        challenger = await add_version(service, champion, 0.9)
        await service.start()
        challenge = Challenge(slugs[0], settings.base_slug, challenger.version, challenger.ref, Voice((), ()))
        challenged = Shadow(service.engine, service.store, {champion.ref.content_hash: challenge})
        shadows = {BEFORE: NoShadow(), OFF: Shadow(service.engine, service.store), ON: challenged}
        bench = Bench(service, slugs, shadows, max_new_tokens)
        for mode in MODES * 2:  # threads are tuned, adapters and prompts read
            await bench.turn(mode, seed)
        medians = await _rounds(bench, rounds, random.Random(seed))
        look_up_s = await _look_up(service)
    finally:
        service.worker.shadow = own
        await service.stop()
    return _report(settings, slugs, medians, look_up_s)


async def _rounds(bench: Bench, rounds: int, chance: random.Random) -> list[dict[str, float]]:
    """The median step of each mode, round by round; the order within a round is drawn anew."""
    done: list[dict[str, float]] = []
    for number in range(rounds * TRIES):
        steps = {mode: await bench.turn(mode, number) for mode in chance.sample(MODES, len(MODES))}
        if min(map(len, steps.values())) >= MIN_STEPS:
            done.append({mode: statistics.median(steps[mode]) for mode in MODES})
        if len(done) == rounds:
            break
    if not done:
        raise NotFound("No reply was long enough to measure a step; allow more tokens.")
    return done


async def _look_up(service: Service) -> float:
    """Median seconds of asking whether a rollout is running, which every question does."""
    taken = []
    async with service.store.read() as session:
        for _ in range(LOOK_UPS):
            started = time.perf_counter()
            await rollouts.running(session, (next(iter(service.personas)),), service.settings.base_slug)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _report(
    settings: Settings, slugs: Sequence[str], medians: Sequence[dict[str, float]], look_up_s: float
) -> dict[str, Any]:
    steps = {mode: Spread.of([1000 * one[mode] for one in medians]) for mode in MODES}
    ratios = {mode: Spread.of([one[mode] / one[BEFORE] for one in medians]) for mode in MODES}
    return {
        "base_model": settings.base_model,
        "personas": list(slugs),
        "rounds": len(medians),
        "step_ms": {mode: vars(spread) for mode, spread in steps.items()},
        "ratio": {mode: vars(spread) for mode, spread in ratios.items()},
        "look_up_ms": 1000 * look_up_s,
        "goal": GOAL,
        "is_met": ratios[ON].median <= GOAL,
    }


def table(report: dict[str, Any]) -> str:
    """The three ways as Markdown."""
    rows = len(report["personas"])
    lines = ["| worker | rows | ms a step (quartiles) | over without rollouts |", "|---|---|---|---|"]
    for mode in MODES:
        step, ratio = (
            "{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".format(**report[name][mode], digits=digits)
            for name, digits in (("step_ms", 1), ("ratio", 3))
        )
        lines.append(f"| {mode} | {rows + (mode == ON)} | {step} | {ratio} |")
    verdict = "met" if report["is_met"] else "missed"
    return "\n".join(
        [
            *lines,
            "",
            f"{report['rounds']} rounds on {report['base_model']}; at most {report['goal']:g} is asked: {verdict}."
            f" Asking the database whether a rollout is running takes {report['look_up_ms']:.2f} ms a question.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4, help="personas that answer at once")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--max-tokens", type=int, default=48, help="of a reply")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    asked = parser.parse_args(arguments)
    figures = {"rows": asked.rows, "rounds": asked.rounds, "max_new_tokens": asked.max_tokens, "seed": asked.seed}
    try:
        report = asyncio.run(measure(load_settings(), **figures))
    except PersonasError as error:
        parser.error(str(error))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(table(report))
    return 0 if report["is_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
