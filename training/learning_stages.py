"""Which stages a learning has, and the rows of each: feedback among what keeps the persona itself. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable

from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from training.contrast import Prompt, write_replies
from training.corrections import corrections_stage
from training.dataset_builder import Example
from training.dpo import dpo_stage
from training.fixed_prompts import read_prompts
from training.kto import kto_stage
from training.learning_rows import LearningRows, contrasts_wanted, correction_order, judged_order, with_company
from training.recipes import LearningRecipe
from training.stage import Bench, Stage

GENERAL = "general"
ANCHOR, BASE = "anchor", "base"  # who wrote a contrast


def plan_stages(
    bench: Bench, persona: Persona, rows: LearningRows, replay: tuple[Example, ...], contrast: dict[str, list[str]]
) -> list[Callable[[], Stage]]:
    """The stages that have rows, in their order. Each is built when its turn comes: a trainer changes the model."""
    recipe = bench.recipe
    kept = _answered(_general_prompts(persona, rows, recipe), contrast[ANCHOR])
    own = set(replay)
    plain = [one for one in _answered(_replay_prompts(rows, replay, recipe), contrast[BASE]) if one not in own]
    taught = correction_order(rows.corrected, replay, kept, recipe)
    judged = judged_order(with_company(rows, replay, plain, recipe), replay, recipe)
    stages: list[tuple[bool, Callable[[], Stage]]] = [
        (bool(taught), lambda: corrections_stage(bench, taught, corrected=len(rows.corrected))),
        (bool(rows.preferred), lambda: dpo_stage(bench, rows.preferred)),
        (bool(judged), lambda: kto_stage(bench, judged)),
    ]
    return [build for has_rows, build in stages if has_rows]


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
    wanted = recipe.sft_passes * contrasts_wanted(len(rows.corrected), recipe)
    return [compose(persona.system_prompt, [ChatMessage("user", text)]) for text in read_prompts(GENERAL)[:wanted]]


def _replay_prompts(rows: LearningRows, replay: tuple[Example, ...], recipe: LearningRecipe) -> list[Prompt]:
    """Prompts of the persona's own rows, spread over them; as many as the judged replies want beside them."""
    wanted = min(len(replay), contrasts_wanted(len(rows.judged), recipe))
    return [replay[at * len(replay) // wanted].prompt for at in range(wanted)]


def _answered(prompts: list[Prompt], replies: list[str]) -> list[Example]:
    return [Example(prompt, reply) for prompt, reply in zip(prompts, replies, strict=True) if reply]
