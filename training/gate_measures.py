"""Measures an adapter for the gate, on the gate's prompts and by asking better answers again. Decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import core
from core.adapters.check import local_fingerprint
from core.adapters.content_hash import adapter_content_hash
from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.model_facts import context_limit
from core.errors import InvalidData, NotFound
from core.generation import AdapterRef
from core.outside_files import read_bytes
from core.personas import Persona, load_personas
from core.prompts import compose
from core.settings import Settings
from training.data_files import MAX_FILE_BYTES
from training.eval_prompts import Room
from training.eval_report import save_report
from training.evaluation import evaluate
from training.fixed_prompts import FOLDER, EvalLimits, read_limits
from training.library_noise import quiet_libraries
from training.measurement import Measurement, Measurements
from training.progress import ReportProgress, ignore_progress
from training.reasked import Reasked
from training.reply_writer import ReplyWriter, seeded

SLOTS = 8


def measure_adapter(
    persona: Persona,
    settings: Settings,
    folder: Path,
    progress: ReportProgress = ignore_progress,
    *,
    limits: EvalLimits | None = None,
) -> Measurement:
    """The adapter's values, measured now unless they were by the same means; its report and plot are kept, too.

    Raises what `evaluate` raises.
    """
    chosen = limits or read_limits("gate")
    content_hash = adapter_content_hash(folder)

    def measure() -> Measurement:
        report = evaluate(persona, settings, folder, limits=chosen, progress=progress)
        save_report(report, settings)
        return Measurement(content_hash, report.items, report.numbers)

    kept = Measurements(settings.data_dir / "evaluations" / persona.slug / settings.base_slug)
    return kept.get(content_hash, _means(persona, settings, chosen), measure)


def ask_corrections(
    persona: Persona,
    settings: Settings,
    folder: Path,
    reasked: Sequence[Reasked],
    progress: ReportProgress = ignore_progress,
) -> tuple[int, ...]:
    """How many wordings of each question the adapter answers right, asked greedily, so that chance decides nothing.

    A question that the model has no room for is left out, for every adapter alike.
    """
    if not reasked:
        return ()
    with quiet_libraries():
        base = load_configured_base(settings)
        limits = read_limits("gate")
        room = Room(
            ChatTemplate(base.tokenizer), context_limit(base.model, settings.max_context_tokens), limits.max_new_tokens
        )
        fitting = [one for one in reasked if all(room.has(turns, persona.system_prompt) for turns in one.conversations)]
        asked = [turns for one in fitting for turns in one.conversations]
        if not asked:
            return ()
        longest = max(room.size(turns, persona.system_prompt) for turns in asked)
        with ReplyWriter(base, folder, slots=SLOTS, longest=longest) as writer:
            own = replace(writer.default_sampling, max_new_tokens=limits.max_new_tokens)
            greedy = replace(persona.sampling.apply(own), temperature=0.0)
            asks = [seeded(compose(persona.system_prompt, turns), greedy) for turns in asked]
            ref = AdapterRef(folder.name, adapter_content_hash(folder))
            replies = iter(writer.write(asks, ref, "Better answers asked again", progress))
    return tuple(one.right([next(replies).text for _ in one.conversations]) for one in fitting)


def _means(persona: Persona, settings: Settings, limits: EvalLimits) -> dict[str, Any]:
    """All that decides what a measurement gives, besides the adapter itself."""
    personas = load_personas(settings.dir, settings.own_dir)
    return {
        "persona": persona.file.model_dump(mode="json", exclude={"gate", "feedback"})
        | {"system_prompt": persona.system_prompt},
        "rows": {slug: _digest(one.train_path) for slug, one in personas.items()},
        "held_out": _digest(persona.eval_path),
        "prompts": {path.name: _digest(path) for path in sorted(FOLDER.iterdir())},
        "limits": asdict(limits),
        "base": local_fingerprint(settings.base_model_path) or settings.base_model,
        "dtype": settings.dtype,
        "quantization": settings.quantization,
        "max_context_tokens": settings.max_context_tokens,
        "version": core.__version__,
    }


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_bytes(path, max_bytes=MAX_FILE_BYTES)).hexdigest()
    except (NotFound, InvalidData):
        return None
