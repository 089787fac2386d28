"""Which stages a learning has, and the rows of each: feedback among what keeps the persona itself. Trains nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice

from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from training.contrast import Prompt, write_replies
from training.correction_rows import company_of_a_pass, correction_order, fit_company, nearest_first, wordings
from training.corrections import corrections_stage
from training.data_files import spread
from training.dataset_builder import Example, token_count, token_ids
from training.dpo import dpo_stage
from training.fixed_prompts import read_prompts
from training.free_directions import find_directions, widen
from training.kto import kto_stage
from training.learning_rows import LearningRows, contrasts_wanted, judged_order, with_company
from training.recipes import MAX_R, LearningRecipe
from training.safeguards import LEARNER
from training.stage import Bench, Stage

GENERAL = "general"
# Of the persona's own, those that are asked like the corrections, and others spread over them: enough to tell what its
# replies use.
NEAR_ROWS, OTHER_ROWS = 80, 80
ANCHOR, BASE = "anchor", "base"  # who wrote a contrast

logger = logging.getLogger(__name__)


def plan_stages(
    bench: Bench, persona: Persona, rows: LearningRows, replay: tuple[Example, ...], contrast: dict[str, list[str]]
) -> list[Callable[[], Stage]]:
    """The stages that have rows, in their order. Each is built when its turn comes: a trainer changes the model."""
    recipe = bench.recipe
    worded = _worded(bench, rows)
    kept = _answered(_general_prompts(persona, rows, recipe), contrast[ANCHOR])
    taught = correction_order(worded, replay, kept, recipe) if worded else []
    own = set(replay)
    plain = [one for one in _answered(_replay_prompts(rows, replay, recipe), contrast[BASE]) if one not in own]
    judged = judged_order(with_company(rows, replay, plain, recipe), replay, recipe)
    stages: list[tuple[bool, Callable[[], Stage]]] = [
        (bool(rows.corrected), lambda: corrections_stage(bench, taught, worded)),
        (bool(rows.preferred), lambda: dpo_stage(bench, rows.preferred)),
        (bool(judged), lambda: kto_stage(bench, judged)),
    ]
    return [build for has_rows, build in stages if has_rows]


def make_room(bench: Bench, persona: Persona, rows: LearningRows, replay: tuple[Example, ...]) -> int:
    """Widen the adapter for the corrections as the recipe says. Returns by how many rows of A; 0 is not at all."""
    config = bench.model.peft_config[LEARNER]
    wanted = bench.recipe.sft_directions if rows.corrected else 0
    room = 0 if config.rank_pattern or config.alpha_pattern else min(wanted, MAX_R - config.r)
    if room < wanted:
        logger.warning(
            "Corrections get %d directions of their own instead of %d: the anchor's r is %s, and %d is the most that is"
            " served. What the persona knows otherwise may suffer.",
            room,
            wanted,
            "not the same everywhere" if config.rank_pattern or config.alpha_pattern else config.r,
            MAX_R,
        )
    if room == 0:
        return 0
    company = fit_company(replay, rows.corrected)
    near = islice(nearest_first(rows.corrected, company), NEAR_ROWS)
    known = dict.fromkeys([*near, *spread(company, OTHER_ROWS)])
    plain = [compose(persona.system_prompt, [ChatMessage("user", text)]) for text in read_prompts(GENERAL)]
    directions = find_directions(
        bench.model,
        [
            *(token_ids(example, bench.template) for example in known),
            *(bench.template.encode(prompt) for prompt in plain),
        ],
        [token_ids(form, bench.template) for forms in _worded(bench, rows) for form in forms],
        count=room,
        batch_size=bench.recipe.batch_size,
        progress=bench.progress,
    )
    return widen(bench.model, directions)


def _worded(bench: Bench, rows: LearningRows) -> list[tuple[Example, ...]]:
    """Of every correction the wordings that are short enough, the first as it was asked."""
    longest = bench.recipe.max_length
    return [
        (correction, *(form for form in wordings(correction)[1:] if token_count(form, bench.template) <= longest))
        for correction in rows.corrected
    ]


def write_contrast(
    bench: Bench, persona: Persona, rows: LearningRows, replay: tuple[Example, ...]
) -> dict[str, list[str]]:
    """What the anchor, and the base model without it, say to the prompts of the two functions below."""

    def write(prompts: list[Prompt], *, has_adapter: bool) -> list[str]:
        return write_replies(
            bench.model,
            bench.base,
            bench.template,
            prompts,
            has_adapter=has_adapter,
            max_tokens=bench.recipe.contrast_max_tokens,
            batch_size=bench.recipe.batch_size,
            progress=bench.progress,
        )

    return {
        ANCHOR: write(_general_prompts(persona, rows, bench.recipe), has_adapter=True),
        BASE: write(_replay_prompts(rows, replay, bench.recipe), has_adapter=False),
    }


def _general_prompts(persona: Persona, rows: LearningRows, recipe: LearningRecipe) -> list[Prompt]:
    """Plain questions that no measurement asks, put to the persona; as many as the corrections want beside them."""
    wanted = recipe.sft_passes * company_of_a_pass(len(rows.corrected), recipe)[2]
    return [compose(persona.system_prompt, [ChatMessage("user", text)]) for text in read_prompts(GENERAL)[:wanted]]


def _replay_prompts(rows: LearningRows, replay: tuple[Example, ...], recipe: LearningRecipe) -> list[Prompt]:
    """Prompts of the persona's own rows, spread over them; as many as the judged replies want beside them."""
    return [row.prompt for row in spread(replay, contrasts_wanted(len(rows.judged), recipe))]


def _answered(prompts: list[Prompt], replies: list[str]) -> list[Example]:
    return [Example(prompt, reply) for prompt, reply in zip(prompts, replies, strict=True) if reply]
