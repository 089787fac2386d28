"""Measures an adapter on rows it never saw, against the base model: `personas evaluate SLUG`. Decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from core.engine.adapter_files import AdapterReader
from core.engine.adapter_hash import adapter_content_hash
from core.engine.base import AdapterRef
from core.engine.chat_template import ChatTemplate
from core.engine.loading import LoadedBase, base_fingerprint, load_base_model
from core.engine.model_facts import context_limit
from core.engine.multi_lora import find_targets
from core.engine.quantization import avoid_packed_kernel
from core.errors import InvalidData, PersonasError
from core.personas import Persona, load_personas
from core.settings import Settings, base_slug
from training.data_files import TrainingRow
from training.dataset_builder import Example, example_of, held_out_rows, training_rows
from training.eval_tasks import Adherence, Replies, measure_adherence
from training.library_noise import quiet_libraries
from training.model_measures import perplexity, write_replies
from training.progress import ProgressUpdate, ReportProgress, ignore_progress
from training.recipes import MAX_R

MAX_SAMPLES = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvalLimits:
    """How much is measured. Replies are written three times: plain base, base with the system prompt, adapter."""

    perplexity_rows: int = 200
    prompts: int = 60
    base_replies: int = 120
    texts: int = 1000
    max_new_tokens: int = 96
    batch_size: int = 8


FULL = EvalLimits()
SHORT = EvalLimits(perplexity_rows=40, prompts=24, base_replies=24, texts=400)


@dataclass(frozen=True, slots=True)
class Sample:
    """One held-out prompt with the replies of the base model and of the persona."""

    prompt: str
    base: str
    adapter: str


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an adapter changes. Perplexities are over the same replies; a ratio below 1 is better than the base."""

    persona: str
    base_model: str
    adapter: str
    held_out_rows: int
    base_perplexity: float
    adapter_perplexity: float
    adherence: Adherence | None
    masked_adherence: Adherence | None
    samples: tuple[Sample, ...]
    held_out_rows_too_long: int = 0

    @property
    def perplexity_ratio(self) -> float:
        return self.adapter_perplexity / self.base_perplexity

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "perplexity_ratio": round(self.perplexity_ratio, 4)}

    def summary(self) -> dict[str, Any]:
        """The figures alone, for an adapter's lineage."""
        return {
            "held_out_rows": self.held_out_rows,
            "held_out_rows_too_long": self.held_out_rows_too_long,
            "base_perplexity": self.base_perplexity,
            "adapter_perplexity": self.adapter_perplexity,
            "perplexity_ratio": round(self.perplexity_ratio, 4),
            "adherence": _figures(self.adherence),
            "masked_adherence": _figures(self.masked_adherence),
        }


def evaluate(
    persona: Persona,
    settings: Settings,
    adapter: Path,
    *,
    limits: EvalLimits = FULL,
    progress: ReportProgress = ignore_progress,
) -> EvalReport:
    """Load the base model with the adapter in this folder and measure it.

    Raises NotFound for a missing model or file of held-out rows, InvalidData for bad rows, AdapterRejected for an
    adapter that cannot be served on this base model.
    """
    base = load_base_model(
        settings.base_model_path, device=settings.device, dtype=settings.dtype, quantization=settings.quantization
    )
    content_hash = _check_adapter(adapter, settings, base)
    with quiet_libraries():
        model = PeftModel.from_pretrained(base.model, str(adapter))
        return measure(persona, settings, base, model, content_hash=content_hash, limits=limits, progress=progress)


def measure(
    persona: Persona,
    settings: Settings,
    base: LoadedBase,
    model: PeftModel,
    *,
    content_hash: str,
    limits: EvalLimits = FULL,
    progress: ReportProgress = ignore_progress,
) -> EvalReport:
    """Measure a model whose adapter is in memory. Raises NotFound or InvalidData for the rows it needs.

    Rows that the model has no room for, with a reply of its own, are left out and counted.
    """
    model.eval()
    avoid_packed_kernel(base.model, for_training=True)
    template = ChatTemplate(base.tokenizer)
    room = _Room(template, context_limit(base.model, settings.max_context_tokens), limits.max_new_tokens)
    fitting, too_long = _fitting_rows(persona, settings, room)
    held_out = _spread(fitting, limits.perplexity_rows)
    examples = [example_of(row, persona.system_prompt) for row in held_out]
    before, after = _perplexities(model, template, examples, progress)
    rows = training_rows(persona, settings.base_model)
    writer = _ReplyWriter(model, base, template, limits, progress)
    prompts = _spread(held_out, limits.prompts)
    replies = writer.write_held_out(prompts, persona.system_prompt)
    positives = [row.output for row in _spread(rows, limits.texts)]
    negatives = [
        *_replies_of_others(persona, settings, limits.texts),
        *writer.write_base(room.take(_spread(rows, limits.base_replies)), "Base replies"),
    ]
    phrases = persona.file.catchphrases
    return EvalReport(
        persona=persona.slug,
        base_model=base_slug(settings.base_model),
        adapter=content_hash,
        held_out_rows=len(held_out),
        base_perplexity=round(before, 4),
        adapter_perplexity=round(after, 4),
        adherence=measure_adherence(positives, negatives, replies),
        masked_adherence=measure_adherence(positives, negatives, replies, masked=phrases) if phrases else None,
        samples=tuple(
            Sample(row.user_text, plain, voiced)
            for row, plain, voiced in zip(prompts[:MAX_SAMPLES], replies.base, replies.adapter, strict=False)
        ),
        held_out_rows_too_long=too_long,
    )


@dataclass(frozen=True, slots=True)
class _Room:
    """The `tokens` of the model's context, of which a reply that it writes takes `reply_tokens`."""

    template: ChatTemplate
    tokens: int
    reply_tokens: int

    def take(self, rows: Sequence[TrainingRow], system_prompt: str = "") -> list[TrainingRow]:
        """The rows that have room, with their own reply and with the model's."""
        return [row for row in rows if self._size(example_of(row, system_prompt)) <= self.tokens]

    def _size(self, example: Example) -> int:
        whole = self.template.encode_text(self.template.render(example.prompt, reply=example.reply))
        return max(len(whole), len(self.template.encode(example.prompt)) + self.reply_tokens)


def _fitting_rows(persona: Persona, settings: Settings, room: _Room) -> tuple[list[TrainingRow], int]:
    """The held-out rows that have room, and how many have none. Raises InvalidData where all of them have none."""
    found = held_out_rows(persona, settings.base_model)
    fitting = room.take(found, persona.system_prompt)
    if too_long := len(found) - len(fitting):
        logger.warning(
            "%d of %d held-out rows leave no room in %d tokens and are left out", too_long, len(found), room.tokens
        )
    if not fitting:
        raise InvalidData(f"No held-out row of {persona.slug} leaves room in {room.tokens} tokens; shorten them.")
    return fitting, too_long


class _ReplyWriter:
    """Writes replies with and without the adapter, and reports each one."""

    def __init__(
        self,
        model: PeftModel,
        base: LoadedBase,
        template: ChatTemplate,
        limits: EvalLimits,
        progress: ReportProgress,
    ) -> None:
        self._model = model
        self._tokenizer = base.tokenizer
        self._template = template
        self._limits = limits
        self._progress = progress

    def write_held_out(self, rows: Sequence[TrainingRow], system_prompt: str) -> Replies:
        adapter = self._write(rows, system_prompt, "Persona's replies")
        with self._model.disable_adapter():
            prompted = self._write(rows, system_prompt, "Prompted replies")
        return Replies(self.write_base(rows, "Plain replies"), prompted, adapter)

    def write_base(self, rows: Sequence[TrainingRow], stage: str) -> tuple[str, ...]:
        """Replies of the base model as it is: no adapter, no system prompt."""
        with self._model.disable_adapter():
            return self._write(rows, "", stage)

    def _write(self, rows: Sequence[TrainingRow], system_prompt: str, stage: str) -> tuple[str, ...]:
        return write_replies(
            self._model,
            self._tokenizer,
            self._template,
            [example_of(row, system_prompt).prompt for row in rows],
            max_new_tokens=self._limits.max_new_tokens,
            batch_size=self._limits.batch_size,
            on_row=_counter(self._progress, stage, len(rows)),
        )


def _perplexities(
    model: PeftModel, template: ChatTemplate, examples: Sequence[Example], progress: ReportProgress
) -> tuple[float, float]:
    """(without the adapter, with it)."""
    on_row = _counter(progress, "Perplexity", 2 * len(examples))
    with model.disable_adapter():
        before = perplexity(model, template, examples, on_row)
    return before, perplexity(model, template, examples, on_row)


def _replies_of_others(persona: Persona, settings: Settings, count: int) -> list[str]:
    """Training replies of the other installed personas; one whose rows cannot be read is left out."""
    installed = load_personas(settings.dir, settings.own_dir).values()
    others = [other for other in installed if other.slug != persona.slug]
    texts: list[str] = []
    for other in others:
        try:
            rows = training_rows(other, settings.base_model)
        except PersonasError:
            continue
        texts += [row.output for row in _spread(rows, count // len(others))]
    return texts


def _check_adapter(folder: Path, settings: Settings, base: LoadedBase) -> str:
    """Refuse what the engine would refuse, before PEFT reads the files; returns the content hash."""
    targets, fingerprint = find_targets(base.model), base_fingerprint(base)
    reader = AdapterReader(settings.adapter_roots, targets, max_rank=MAX_R, base_fingerprint=fingerprint)
    content_hash = adapter_content_hash(folder)
    reader.read(AdapterRef(folder.name, folder, content_hash))
    return content_hash


def _spread(rows: Sequence[TrainingRow], count: int) -> list[TrainingRow]:
    """At most `count` rows, evenly spread over all of them."""
    if len(rows) <= count:
        return list(rows)
    return [rows[index * len(rows) // count] for index in range(count)]


def _counter(progress: ReportProgress, stage: str, total: int) -> Any:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(ProgressUpdate(stage, done, total))

    return count


def _figures(adherence: Adherence | None) -> dict[str, float] | None:
    if adherence is None:
        return None
    return {name: getattr(adherence, name) for name in ("auc", "threshold", "prompted_rate", "adapter_rate")}
