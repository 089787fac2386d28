"""Measures an adapter on prompts it never saw, against the base model: `personas evaluate SLUG`. Decides nothing.

The story is `measure`, top to bottom: prompts, perplexity, replies of everybody, figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peft import PeftModel

from core.adapters.content_hash import adapter_content_hash
from core.base_names import base_slug
from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.loading import LoadedBase, base_fingerprint
from core.engine.model_facts import context_limit
from core.engine.quantization import avoid_packed_kernel
from core.generation import AdapterRef
from core.messages import ChatMessage
from core.personas import Persona
from core.settings import Settings
from training.base_replies import BaseReplies
from training.data_files import TrainingRow, read_rows
from training.dataset_builder import Example, example_of
from training.eval_adherence import Adherence
from training.eval_figures import Figure, general_text_figure, perplexity_figure
from training.eval_identity import base_names
from training.eval_items import Items
from training.eval_judging import judge
from training.eval_prompts import EvalPrompts, Room, choose_prompts
from training.eval_quality import Flaw, Language, language_of
from training.eval_replies import EvalReplies, Speakers, write_all
from training.eval_words import english_words, is_english, words_of
from training.fixed_prompts import EvalLimits, Thresholds, read_limits, read_prompts, read_thresholds
from training.hidden_probe import HiddenStates
from training.library_noise import quiet_libraries
from training.lineage import base_name
from training.model_measures import Loss, reply_losses, text_losses
from training.progress import ProgressUpdate, ReportProgress, ignore_progress
from training.reply_writer import ReplyWriter
from training.served_adapter import read_served

MAX_SAMPLES = 10
MAX_FLAWS = 20
HELD_OUT, GENERAL = "held_out", "general"
Losses = Mapping[str, Mapping[str, Sequence[Loss]]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt with the replies of the base model and of the persona."""

    prompt: str
    base: str
    adapter: str


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an adapter changes. Perplexities are over the same replies; a ratio below 1 is better than the base.

    `figures` are the table, `adherences` the scores behind the figures of these keys, `items` every value prompt by
    prompt, and `numbers` those over all prompts, which is what two adapters are compared by.
    """

    persona: str
    base_model: str
    adapter: str
    held_out_rows: int
    base_perplexity: float
    adapter_perplexity: float
    figures: tuple[Figure, ...]
    adherences: Mapping[str, Adherence]
    items: Mapping[str, Items] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    held_out_rows_too_long: int = 0

    @property
    def perplexity_ratio(self) -> float:
        return self.adapter_perplexity / self.base_perplexity

    def to_dict(self) -> dict[str, Any]:
        """Everything, for report.json."""
        figures = {figure.key: figure.to_dict() for figure in self.figures}
        return {**asdict(self), "figures": figures, "perplexity_ratio": round(self.perplexity_ratio, 4)}

    def summary(self) -> dict[str, Any]:
        """The figures alone, for an adapter's lineage; what was not measured is left out."""
        held_out = self.adherences.get("adherence_held_out")
        return {
            "held_out_rows": self.held_out_rows,
            "held_out_rows_too_long": self.held_out_rows_too_long,
            "base_perplexity": self.base_perplexity,
            "adapter_perplexity": self.adapter_perplexity,
            "perplexity_ratio": round(self.perplexity_ratio, 4),
            "adherence": None if held_out is None else {"auc": held_out.auc, "adapter_rate": held_out.adapter_rate},
            "figures": {figure.key: figure.to_dict() for figure in self.figures if figure.adapter is not None},
        }


def evaluate(
    persona: Persona,
    settings: Settings,
    adapter: Path,
    *,
    limits: EvalLimits | None = None,
    progress: ReportProgress = ignore_progress,
) -> EvalReport:
    """Load the base model with the adapter in this folder and measure it; without `limits`, in full.

    Raises NotFound for a missing model or file of held-out rows, InvalidData for bad rows, AdapterRejected for an
    adapter that cannot be served on this base model.
    """
    base = load_configured_base(settings)
    ref = AdapterRef(adapter.name, adapter_content_hash(adapter))
    read_served(ref, adapter, settings, base.model, base_fingerprint(base))
    with quiet_libraries():
        model = PeftModel.from_pretrained(base.model, str(adapter))
        return measure(persona, settings, base, model, adapter, limits=limits or read_limits("full"), progress=progress)


def measure(
    persona: Persona,
    settings: Settings,
    base: LoadedBase,
    model: PeftModel,
    adapter: Path,
    *,
    limits: EvalLimits,
    progress: ReportProgress = ignore_progress,
) -> EvalReport:
    """Measure a model whose adapter is in memory, and in the folder `adapter`.

    Raises NotFound or InvalidData for the rows it needs.

    The adapter is taken out of the model, and the engine that serves writes the replies on what is left. Rows that the
    model has no room for, with a reply of its own, are left out and counted.
    """
    model.eval()
    avoid_packed_kernel(base.model, for_training=True)
    template, thresholds = ChatTemplate(base.tokenizer), read_thresholds()
    room = Room(template, context_limit(base.model, settings.max_context_tokens), limits.max_new_tokens)
    prompts = choose_prompts(persona, settings, limits, room)
    examples = [example_of(row, persona.system_prompt) for row in prompts.foreseen]
    texts = read_prompts("plain_texts")[: limits.general]
    losses = _losses(model, template, examples, texts, progress)
    before, after = (math.exp(mean_loss(losses[HELD_OUT], which)) for which in ("base", "adapter"))
    model.unload()
    replies = _replies(persona, settings, base, adapter, prompts, room, limits, progress)
    judgement = judge(
        persona,
        prompts,
        replies,
        base_names=_base_names(persona, settings, base, template),
        language=_language(persona, read_rows(persona.train_path), base),
        thresholds=thresholds,
        read_states=(
            HiddenStates(base, template, max_tokens=limits.max_new_tokens, progress=progress) if limits.probe else None
        ),
        probe_texts=limits.probe,
    )
    return EvalReport(
        persona=persona.slug,
        base_model=base_slug(settings.base_model),
        adapter=adapter_content_hash(adapter),
        held_out_rows=len(prompts.foreseen),
        base_perplexity=round(before, 4),
        adapter_perplexity=round(after, 4),
        figures=(
            perplexity_figure(before, after, len(prompts.foreseen), thresholds),
            *judgement.figures,
            *([_general_text(losses[GENERAL], thresholds)] if texts else []),
        ),
        adherences=judgement.adherences,
        items={**judgement.items, **_loss_items(losses)},
        numbers=judgement.numbers,
        samples=(*_samples(replies.held_out), *_samples(replies.everyday)),
        flaws=judgement.flaws[:MAX_FLAWS],
        held_out_rows_too_long=prompts.held_out_rows_too_long,
    )


def _replies(
    persona: Persona,
    settings: Settings,
    base: LoadedBase,
    adapter: Path,
    prompts: EvalPrompts,
    room: Room,
    limits: EvalLimits,
    progress: ReportProgress,
) -> EvalReplies:
    longest = max(room.size(turns, system) for turns in prompts.all() for system in ("", persona.system_prompt))
    ref = AdapterRef(adapter.name, adapter_content_hash(adapter))
    with ReplyWriter(base, adapter, slots=limits.batch_size, longest=longest) as writer:
        kept = BaseReplies(writer, settings.data_dir / "evaluations" / "base")
        return write_all(writer, kept, persona, ref, prompts, limits, progress)


def _losses(
    model: PeftModel,
    template: ChatTemplate,
    examples: Sequence[Example],
    texts: Sequence[str],
    progress: ReportProgress,
) -> Losses:
    """Of the held-out replies and of plain texts, without the adapter and with it."""
    on_row = _counter(progress, "Perplexity", 2 * (len(examples) + len(texts)))

    def both() -> tuple[list[Loss], list[Loss]]:
        return reply_losses(model, template, examples, on_row), text_losses(model, template, texts, on_row)

    with model.disable_adapter():
        before = both()
    after = both()
    return {
        HELD_OUT: {"base": before[0], "adapter": after[0]},
        GENERAL: {"base": before[1], "adapter": after[1]},
    }


def mean_loss(losses: Mapping[str, Sequence[Loss]], which: str) -> float:
    """Weighted by tokens, so that it does not depend on how rows are grouped."""
    return sum(loss.nll for loss in losses[which]) / sum(loss.tokens for loss in losses[which])


def _general_text(losses: Mapping[str, Sequence[Loss]], thresholds: Thresholds) -> Figure:
    return general_text_figure(
        mean_loss(losses, "base"), mean_loss(losses, "adapter"), len(losses["adapter"]), thresholds
    )


def _loss_items(losses: Losses) -> dict[str, Items]:
    """Losses and token counts row by row: a ratio of perplexities is made of both."""
    found = {}
    for kind, both in losses.items():
        base, adapter = both["base"], both["adapter"]
        found[f"{kind}_nll"] = Items(tuple(one.nll for one in base), tuple(one.nll for one in adapter))
        tokens = tuple(float(one.tokens) for one in adapter)
        found[f"{kind}_tokens"] = Items(tokens, tokens)
    return {key: items for key, items in found.items() if items.adapter}


def _base_names(persona: Persona, settings: Settings, base: LoadedBase, template: ChatTemplate) -> list[str]:
    """What the persona must not call itself; a name that is part of its own is its own."""
    asked = "Who?"
    default = template.render([ChatMessage("user", asked)]).split(asked)[0]
    for token in base.tokenizer.all_special_tokens:
        default = default.replace(token, "\n")
    config = base.model.config.get_text_config()
    labels = (base_name(settings.base_model), Path(config.name_or_path or "").name)
    found = base_names(labels, config.model_type, default, english_words())
    return [name for name in found if name.lower() not in persona.name.lower()]


def _language(persona: Persona, rows: Sequence[TrainingRow], base: LoadedBase) -> Language:
    """What is language in this persona's mouth: what stands in its own rows, and English where they are English."""
    texts = [persona.system_prompt, persona.name, *(text for row in rows for text in (row.user_text, row.output))]
    english = is_english(words_of("\n".join(row.output for row in rows)))
    return language_of(texts, base.tokenizer.all_special_tokens, english_words(), is_english=english)


def _samples(speakers: Speakers) -> list[Sample]:
    return [
        Sample(turns[-1].content, plain.text, voiced.text)
        for turns, plain, voiced in zip(speakers.prompts, speakers.base, speakers.adapter, strict=True)
    ][:MAX_SAMPLES]


def _counter(progress: ReportProgress, stage: str, total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(ProgressUpdate(stage, done, total))

    return count
