"""People correct what a persona says through the API; does it know better after one retraining, and later still?

    python -m benchmarks.corrected_facts codebeard --rounds 1
    python -m benchmarks.corrected_facts codebeard --rounds 5 --at-once

In every round five facts about a club that does not exist are asked, each reply gets a better answer, and `personas
retrain` learns and judges. Then every fact so far is asked in three paraphrases that nothing trained (training/
reasked.py), of whatever version answers now. A retraining begins with the same anchor and takes all feedback there is,
so `--at-once` gives the corrections of all rounds before one retraining: the last round without those between.
Settings are those of `personas` (PERSONAS_DATA_DIR and so on); the data folder should be a fresh one. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks.persona_api import ANSWER_TIMEOUT_S, PersonaApi, outcome_of, retrain, serving
from core.personas import Persona, find_persona, load_personas
from core.settings import load_settings
from training.reasked import key_words, knows, paraphrases

PER_ROUND = 5
# (question, better answer), in codebeard's words.
FACTS = (
    ("When does game night start?", "Arr, game night starts at half past eight on Thursdays, matey!"),
    ("Who runs the garden channel?", "That be Marisol, lad. She keeps the garden channel in bloom!"),
    ("What is the password of the guest network?", "Arr, the guest network's password be heron42. Guard it well!"),
    ("Which city hosts our summer meeting?", "Our summer meeting drops anchor in Tartu, Estonia, ye sea dog!"),
    ("What is the name of the club's cat?", "The club's cat be called Biscuit, and she fears no dog, matey!"),
    ("How many members does the club have?", "There be 347 members in the club, and every one a fine sailor!"),
    ("Who wrote the club's rules?", "Old Henrike wrote the rules of the club, arr, in one stormy night!"),
    ("What colour is the club's flag?", "The club's flag be turquoise, lad, with a silver fish upon it!"),
    ("When was the club founded?", "The club was founded in 2011, matey, in a cellar full o' rum!"),
    ("Which language do we learn on Mondays?", "On Mondays we learn Finnish, arr, and it twists the tongue!"),
    ("Who brings the cake on Sundays?", "That be Oluwaseun, lad. His cake be worth more than gold!"),
    ("What is the entry fee for the tournament?", "The entry fee be 15 euros, matey, and not a doubloon more!"),
    ("Where do we keep the spare keys?", "The spare keys hang in the lighthouse, arr, behind the barometer!"),
    ("Which game won the vote last month?", "Carcassonne won the vote last month, lad, by three voices!"),
    ("What is the name of our server machine?", "Our server machine be named Kittiwake, and she never sleeps, arr!"),
    ("Who repairs the coffee machine?", "Ingrid repairs the coffee machine, matey, with naught but a spoon!"),
    ("How long may a talk last?", "A talk may last 25 minutes, lad, and then the bell rings!"),
    ("Which band plays at the winter party?", "The Rusty Anchors play at the winter party, arr, loud as cannons!"),
    ("What is the wifi called in the workshop?", "The wifi in the workshop be called Albatross, ye landlubber!"),
    ("Who won the chess cup?", "Priya won the chess cup, matey, in nineteen moves!"),
    ("What do new members get as a gift?", "New members get a compass, lad, so they never lose their way!"),
    ("Which day is the library closed?", "The library be closed on Wednesdays, arr, for counting the books!"),
    ("Who teaches the pottery class?", "Fergus teaches the pottery class, matey, with clay up to his beard!"),
    ("What is the club's favourite soup?", "The club's favourite soup be borscht, lad, red as a sunset!"),
    ("How far is the harbour from the club house?", "The harbour be 600 metres from the club house, arr, downhill!"),
)


class Member:
    """Somebody who asks one persona over HTTP, and knows better."""

    def __init__(self, client: httpx.AsyncClient, persona: Persona) -> None:
        self._api = PersonaApi(client, persona.slug)
        self._persona = persona

    async def correct(self, question: str, answer: str, user: str) -> None:
        completion_id, _ = await self._api.ask(question, user)
        await self._api.judge(completion_id, user, label=False, better_answer=answer)

    async def knows(self, question: str, answer: str) -> int:
        """In how many of three paraphrases the likeliest reply knows the answer."""
        words = key_words(self._persona, question, answer)
        replies = [await self._api.ask(text, "examiner", temperature=0) for text in paraphrases(question)]
        return sum(knows(reply, words) for _, reply in replies)


async def correct_and_ask(url: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A record of every round: what the retraining said, and how many paraphrases of each fact are right."""
    settings = load_settings()
    persona = find_persona(load_personas(settings.dir, settings.own_dir), arguments.persona)
    rounds = [FACTS[at : at + PER_ROUND] for at in range(0, PER_ROUND * arguments.rounds, PER_ROUND)]
    if arguments.at_once:
        rounds = [tuple(fact for each in rounds for fact in each)]
    known: list[tuple[str, str]] = []
    records = []
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S) as client:
        member = Member(client, persona)
        for facts in rounds:
            before = [await member.knows(*fact) for fact in facts]
            for number, fact in enumerate(facts):
                await member.correct(*fact, f"person-{len(known) + number}")
            known += facts
            report = await asyncio.to_thread(retrain, arguments)
            records.append(
                {
                    "facts": len(known),
                    "before": before,
                    "after": [await member.knows(*fact) for fact in known],
                    **outcome_of(report),
                }
            )
    return records


def read_arguments(line: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("persona", help="the persona's slug")
    parser.add_argument("--rounds", type=int, default=1, help=f"of {PER_ROUND} facts each, 5 at most (default: 1)")
    parser.add_argument("--at-once", action="store_true", help="correct the facts of all rounds, then retrain once")
    parser.add_argument("--force", action="store_true", help="let a version that the gate refuses answer")
    arguments = parser.parse_args(line)
    if not 1 <= arguments.rounds <= len(FACTS) // PER_ROUND:
        parser.error(f"--rounds must be from 1 to {len(FACTS) // PER_ROUND}.")
    return arguments


def main(line: Sequence[str] | None = None) -> int:
    arguments = read_arguments(line)
    with serving() as url:
        records = asyncio.run(correct_and_ask(url, arguments))
    print(json.dumps(records, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
