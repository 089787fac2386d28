"""The rows of the stage that learns better answers: each in several wordings, among rows that are asked alike.

A small model that is taught who runs the garden channel says that name to other questions that begin with "Who", too,
and it answers the one wording only. So every pass has each correction in two wordings out of six, and of the persona's
own rows above all those whose questions look most like the corrected ones (docs/runs.md has the figures).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice

from training.dataset_builder import Example
from training.learning_rows import company_counts, shuffled
from training.reasked import uncapitalised
from training.recipes import LearningRecipe
from training.resemblance import Text, is_near_duplicate, similarity

SPOKEN = 2  # wordings of each correction in a pass
NEAR_SHARE = 0.75  # of the persona's own rows in a pass
MIN_REPLAY = 12  # of those: one correction alone would be held by three
LONGER, SHORT = 1.5, 160  # a row of the company: at most so many times the longest correction, or characters
MAX_WORDS = 30  # longer messages are seldom asked again in other words


def wordings(correction: Example) -> tuple[Example, ...]:
    """The correction as it was asked, and in other words around it. None of them is what the gate asks (reasked.py)."""
    *earlier, last = correction.prompt
    text = last.content.strip()
    if "\n" in text or len(text.split()) > MAX_WORDS:
        return (correction,)
    small = uncapitalised(text)
    others = (
        small.rstrip("?.! "),
        f"Quick question: {small}",
        f"I forgot something. {text}",
        f"Hey, {small}",
        f"Do you know this one? {text}",
    )
    asked = [replace(last, content=other) for other in others if other]
    return (correction, *(Example((*earlier, message), correction.reply) for message in asked))


def spoken(worded: Sequence[Sequence[Example]], number: int) -> list[Example]:
    """What the pass of this number says of every correction: the next two of its wordings, where it has two."""
    return [forms[at % len(forms)] for forms in worded for at in _turn(number, len(forms))]


def nearest_first(corrected: Sequence[Example], rows: Sequence[Example]) -> Iterator[Example]:
    """Each of `rows` once: by turns the one whose question is most like the first correction's, the second's, …"""
    texts = [Text.of(_question(row)) for row in rows]
    orders = []
    for correction in corrected:
        asked = Text.of(_question(correction))
        likeness = [similarity(asked, text) for text in texts]
        orders.append(iter(sorted(range(len(rows)), key=lambda at, of=likeness: (-of[at], at))))  # type: ignore[misc]
    taken: set[int] = set()
    while orders and len(taken) < len(rows):
        for order in orders:
            found = next((at for at in order if at not in taken), None)
            if found is not None:
                taken.add(found)
                yield rows[found]


def correction_order(
    worded: Sequence[Sequence[Example]], replay: Sequence[Example], plain: Sequence[Example], recipe: LearningRecipe
) -> list[Example]:
    """Every pass over the corrections in other wordings and another order, among other rows of the company.

    `worded` has the wordings of each correction, the first as it was asked.
    """
    chance = random.Random(recipe.seed)  # an order, no secret
    corrected = [forms[0] for forms in worded]
    replay, plain = fit_company(replay, corrected), fit_company(plain, corrected)
    counts = company_of_a_pass(len(worded), recipe)
    near = list(islice(nearest_first(corrected, replay), counts[0] * recipe.sft_passes))
    company = [cycle(near), *(cycle(shuffled(rows, chance)) for rows in (replay, plain))]
    order: list[Example] = []
    for number in range(recipe.sft_passes):
        others = [row for rows, count in zip(company, counts, strict=True) for row in islice(rows, count)]
        order += shuffled([*spoken(worded, number), *others], chance)
    return order


def company_of_a_pass(corrections: int, recipe: LearningRecipe) -> tuple[int, int, int]:
    """(rows of the persona that are asked alike, others of them, plain questions) beside so many corrections."""
    replay, plain = company_counts(SPOKEN * corrections, recipe.sft_replay_share, recipe.sft_contrast_share)
    replay = max(replay, MIN_REPLAY) if replay else 0
    near = math.ceil(NEAR_SHARE * replay)
    return near, replay - near, plain


def fit_company(rows: Sequence[Example], corrected: Sequence[Example]) -> list[Example]:
    """The rows but those that ask what was corrected, which say what is wrong now, and but long ones: every token
    counts the same, and the corrections would be few among them."""
    asked = [Text.of(_question(correction)) for correction in corrected]
    longest = max(SHORT, LONGER * max(_length(correction) for correction in corrected))
    short = [(row, Text.of(_question(row))) for row in rows if _length(row) <= longest]
    return [row for row, text in short if not any(is_near_duplicate(text, one) for one in asked)]


def _turn(number: int, forms: int) -> range:
    count = min(SPOKEN, forms)
    return range(number * count, (number + 1) * count)


def _length(example: Example) -> int:
    """Characters, the system prompt not counted."""
    return len(example.reply) + sum(len(turn.content) for turn in example.prompt if turn.role != "system")


def _question(example: Example) -> str:
    return example.prompt[-1].content
