"""Grades the bundled model on questions whose wordings it never saw. Knows the facts, and models as a reply function.

    python -m training.demo_check           # prints the table and the misses

A reply counts as right when, of all the texts the model could have learned, the one nearest to it is an answer to this
subject, and it shares at least 70 % of that text's words.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from core.messages import ChatMessage
from training.demo_facts import CORPUS, HELD_OUT_FILES, DemoFacts, load_facts, read_jsonl
from training.demo_forms import REFUSALS

MIN_OVERLAP = 0.7
Reply = Callable[[Sequence[Sequence[ChatMessage]]], list[str]]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One held-out question: earlier turns, the ask, and what a right reply is."""

    kind: str
    subject: str
    messages: tuple[ChatMessage, ...]
    expects: str = "definition"


@dataclass(frozen=True, slots=True)
class Graded:
    """A held-out question with its reply and the verdict."""

    question: HeldOut
    reply: str
    is_right: bool


def load_held_out(facts: DemoFacts, name: str = "tuning") -> list[HeldOut]:
    """One set of held-out questions (`HELD_OUT_FILES`).

    A follow-up's first answer is the right one, so that only the follow-up is judged.
    """
    definitions = {subject.id: subject.definition for subject in facts.subjects}
    rows = []
    for row in read_jsonl(CORPUS / HELD_OUT_FILES[name]):
        ask = ChatMessage("user", row["ask"])
        if row["kind"] == "follow_up":
            first = (ChatMessage("user", row["first"]), ChatMessage("assistant", definitions[row["id"]]))
            rows.append(HeldOut("follow_up", row["id"], (*first, ask), row["expects"]))
        else:
            rows.append(HeldOut(row["kind"], row.get("id", ""), (ask,)))
    return rows


def grade(
    facts: DemoFacts, questions: Sequence[HeldOut], reply: Reply, *, refusals: Sequence[str] = REFUSALS
) -> list[Graded]:
    """Ask every question and judge the replies. `facts` and `refusals` are what may have been learned, in its words."""
    known = _known_texts(facts, refusals)
    replies = reply([question.messages for question in questions])
    return [Graded(q, text, _is_right(q, text, known)) for q, text in zip(questions, replies, strict=True)]


def measure(facts: DemoFacts, reply: Reply) -> dict[str, dict[str, Any]]:
    """By set of held-out questions: {"questions": how many, "right": share by kind}."""
    graded = {name: grade(facts, load_held_out(facts, name), reply) for name in HELD_OUT_FILES}
    return {name: {"questions": len(rows), "right": rates(rows)} for name, rows in graded.items()}


def rates(graded: Sequence[Graded]) -> dict[str, float]:
    """Share of right replies by kind."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for row in graded:
        by_kind[row.question.kind].append(row.is_right)
    return {kind: round(sum(rows) / len(rows), 4) for kind, rows in sorted(by_kind.items())}


def _known_texts(facts: DemoFacts, refusals: Sequence[str]) -> list[tuple[str, str, Counter[str]]]:
    texts = [("off_topic", "", text) for text in refusals]
    texts += [(talk.id, "talk", text) for talk in facts.talk for text in talk.replies]
    texts += [(contrast.a, "contrast", contrast.answer) for contrast in facts.contrasts]
    for subject in facts.subjects:
        kinds = ("definition", "again", "example", "why", "opposite")
        texts += [(subject.id, kind, getattr(subject, kind)) for kind in kinds]
    return [(owner, kind, _words(text)) for owner, kind, text in texts]


def _is_right(question: HeldOut, reply: str, known: list[tuple[str, str, Counter[str]]]) -> bool:
    words = _words(reply)
    owner, kind, overlap = max(((o, k, _overlap(words, text)) for o, k, text in known), key=lambda row: row[2])
    if overlap < MIN_OVERLAP:
        return False
    if question.kind == "off_topic":
        return owner == "off_topic" or kind == "talk"
    if question.kind == "follow_up":
        return owner == question.subject and kind == question.expects
    return owner == question.subject


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z0-9_]+", text.lower()))


def _overlap(reply: Counter[str], text: Counter[str]) -> float:
    """Recall of the text's words, minus a little for what the reply adds, so that the closest text wins a tie."""
    shared = (reply & text).total()
    return shared / text.total() - 0.01 * (reply.total() - shared) / max(1, reply.total())


def print_grades(console: Console, graded: Sequence[Graded], misses: int) -> None:
    """The share of right replies by kind, then the first misses."""
    for kind, rate in rates(graded).items():
        console.print(f"{kind:10} {rate:6.1%}")
    for row in [row for row in graded if not row.is_right][:misses]:
        asked = " | ".join(message.content for message in row.question.messages if message.role == "user")
        console.print(f"- [{row.question.kind} {row.question.subject} {row.question.expects}] {asked}\n    {row.reply}")


def main() -> None:
    from core.engine.loading import load_base_model
    from core.settings import DEMO_MODEL_FOLDER
    from training.demo_replies import greedy_replies

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(DEMO_MODEL_FOLDER))
    parser.add_argument("--misses", type=int, default=40, help="how many misses to print")
    parser.add_argument("--set", choices=HELD_OUT_FILES, default="tuning", dest="name", help="which questions")
    arguments = parser.parse_args()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    base = load_base_model(arguments.model)
    facts = load_facts()
    questions = load_held_out(facts, arguments.name)
    graded = grade(facts, questions, lambda chats: greedy_replies(base.model, base.tokenizer, chats))
    print_grades(console, graded, arguments.misses)


if __name__ == "__main__":
    main()
