"""A crowd with a known taste judges real replies through the API; does it like more of them after one retraining?

    python -m benchmarks.simulated_crowd codebeard --people 60 --votes 240 --trolls 0.05

Everything is as people and operators do it: `personas serve` answers, `/v1/feedback` takes the thumbs, `personas
retrain` learns and judges. The crowd likes replies with one of the words of `--taste`. Agreement is the share of
replies to held-out prompts that it would like, asked before and after with the same seeds. Trolls vote the other way
round, without limit; what their votes change is seen in the set that would train. Settings are those of `personas`
(PERSONAS_DATA_DIR and so on); the data folder should be a fresh one. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.persona_api import ANSWER_TIMEOUT_S, PersonaApi, outcome_of, retrain, serving
from core.personas import find_persona, load_personas
from core.settings import load_settings
from training.data_files import read_rows
from training.fixed_prompts import read_prompts
from training.gate_statistics import paired_bounds

TASTE = "ye,yer,lad,lass,matey"
AT_ONCE = 8
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Said:
    """A reply that somebody got, and whether the crowd likes it."""

    completion_id: str
    is_liked: bool


class Crowd:
    """People who ask one persona and judge its replies, over HTTP."""

    def __init__(self, client: httpx.AsyncClient, persona: str, taste: str) -> None:
        words = "|".join(re.escape(word.strip()) for word in taste.split(","))
        self._likes = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
        self._persona = PersonaApi(client, persona)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask_all(self, prompts: Sequence[str], people: Sequence[str]) -> list[Said]:
        """Everybody asks in turn; the replies in the order of the prompts, each with a seed of its own."""
        asked = (self._ask(text, people[at % len(people)], seed=at) for at, text in enumerate(prompts))
        return list(await asyncio.gather(*asked))

    async def judge(self, said: Said, person: str, *, label: bool) -> None:
        await self._persona.judge(said.completion_id, person, label=label)

    async def _ask(self, text: str, person: str, *, seed: int) -> Said:
        async with self._turns:
            completion_id, reply = await self._persona.ask(text, person, seed=seed)
        return Said(completion_id, self._likes.search(reply) is not None)


async def vote(crowd: Crowd, said: Sequence[Said], people: Sequence[str], *, is_contrary: bool = False) -> None:
    """Everybody judges in turn, by the taste or, for trolls, against it."""
    for number, one in enumerate(said):
        await crowd.judge(one, people[number % len(people)], label=one.is_liked is not is_contrary)


async def simulate(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask, judge, retrain, ask again."""
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S) as client:
        crowd = Crowd(client, arguments.persona, arguments.taste)
        people = [f"person-{number}" for number in range(arguments.people)]
        held_out = read_prompts("everyday")[: arguments.held_out]
        before = await crowd.ask_all(held_out, ["examiner"])
        said = await crowd.ask_all(_prompts(arguments.persona, arguments.votes), people)
        await vote(crowd, said, people)
        trolls = await _let_trolls_vote(crowd, said, arguments)
        report = await asyncio.to_thread(retrain, arguments)
        after = await crowd.ask_all(held_out, ["examiner"])
    likes = [[float(one.is_liked) for one in group] for group in (before, after)]
    gain = paired_bounds(likes[0], likes[1], CONFIDENCE)
    return {
        "taste": arguments.taste,
        "people": arguments.people,
        "votes": len(said),
        "liked": sum(one.is_liked for one in said),
        "held_out_prompts": len(held_out),
        "agreement_before": sum(likes[0]) / len(held_out),
        "agreement_after": sum(likes[1]) / len(held_out),
        "gain": {"mean": gain.mean, "low": gain.low, "high": gain.high, "confidence": CONFIDENCE},
        "trolls": trolls,
        **outcome_of(report),
    }


async def _let_trolls_vote(crowd: Crowd, said: Sequence[Said], arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Every troll votes against the taste; whether that changes anything of what would train."""
    count = round(arguments.trolls * arguments.people)
    if not count:
        return None
    before = (await asyncio.to_thread(retrain, arguments, "--dry-run"))["manifest"]
    chance = random.Random(0)
    for number in range(count):
        chosen = chance.sample(said, min(arguments.troll_votes, len(said)))
        await vote(crowd, chosen, [f"troll-{number}"], is_contrary=True)
    after = (await asyncio.to_thread(retrain, arguments, "--dry-run"))["manifest"]
    return {
        "people": count,
        "votes": after["judgements"]["found"] - before["judgements"]["found"],
        "votes_that_train": after["judgements"]["used"] - before["judgements"]["used"],
        "is_set_the_same": after["sha256"] == before["sha256"],
    }


def _prompts(slug: str, count: int) -> list[str]:
    """What other personas' training rows ask: nothing that this one was trained on, and nothing that is held out."""
    settings = load_settings()
    personas = load_personas(settings.dir, settings.own_dir)
    own = {row.user_text for row in read_rows(find_persona(personas, slug).train_path)}
    texts = [row.user_text for other in personas.values() if other.slug != slug for row in read_rows(other.train_path)]
    fresh = sorted({text for text in texts if text not in own and len(text) < 200} - set(read_prompts("everyday")))
    if len(fresh) < count:
        raise SystemExit(f"Other personas' rows ask {len(fresh)} questions that {slug} was not trained on; vote less.")
    return random.Random(0).sample(fresh, count)


def read_arguments(line: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("persona", help="the persona's slug")
    parser.add_argument("--taste", default=TASTE, help=f"words that the crowd likes in a reply (default: {TASTE})")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument(
        "--votes", type=int, default=240, help="votes of all people together, each on a reply of its own"
    )
    parser.add_argument("--held-out", type=int, default=100, help="prompts that agreement is measured on")
    parser.add_argument("--trolls", type=float, default=0.0, help="how many there are, as a share of the people")
    parser.add_argument("--troll-votes", type=int, default=50, help="votes of each troll")
    parser.add_argument("--force", action="store_true", help="promote what the gate refuses, to see its agreement")
    return parser.parse_args(line)


def main() -> None:
    arguments = read_arguments()
    with serving() as url:
        print(json.dumps(asyncio.run(simulate(url, arguments)), indent=2))


if __name__ == "__main__":
    main()
