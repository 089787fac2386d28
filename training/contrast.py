"""Replies that the model writes before it learns: the anchor's own, which keep what it knows, and the base model's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from peft import PeftModel

from core.engine.chat_template import ChatTemplate
from core.engine.loading import LoadedBase
from core.messages import ChatMessage
from core.thinking import without_thoughts
from training.label_check import stop_token_ids
from training.progress import ProgressUpdate, ReportProgress

STAGE = "Contrast"
SENTENCE_END = re.compile(r"[.!?…。！？][\"')\]]*(?=\s)")  # other languages end theirs, too

Prompt = tuple[ChatMessage, ...]


def write_replies(
    model: PeftModel,
    base: LoadedBase,
    template: ChatTemplate,
    prompts: Sequence[Prompt],
    *,
    has_adapter: bool,
    max_tokens: int,
    batch_size: int,
    progress: ReportProgress,
) -> list[str]:
    """The likeliest reply to each prompt, with the adapter or by the base model alone. "" where there is none to use.

    A reply that its limit cut off would teach never to stop: it ends with its last whole sentence, or is none.
    """
    model.eval()
    written: list[str] = []
    with nullcontext() if has_adapter else model.disable_adapter():
        for start in range(0, len(prompts), batch_size):
            written += _write_batch(model, base, template, prompts[start : start + batch_size], max_tokens)
            progress(ProgressUpdate(f"{STAGE} ({'anchor' if has_adapter else 'base'})", len(written), len(prompts)))
    return written


def _write_batch(
    model: PeftModel, base: LoadedBase, template: ChatTemplate, prompts: Sequence[Prompt], max_tokens: int
) -> list[str]:
    stops = stop_token_ids(base.model, base.tokenizer)
    rows = [template.encode(prompt) for prompt in prompts]
    longest = max(len(row) for row in rows)
    filler = next(iter(sorted(stops)))
    ids = torch.tensor([[filler] * (longest - len(row)) + row for row in rows], device=base.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=base.device)
    with torch.no_grad():
        output = model.generate(  # type: ignore[no-untyped-call]
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=max_tokens,
            eos_token_id=sorted(stops),
            pad_token_id=filler,
        )
    return [_text(base, template, row[longest:].tolist(), stops) for row in output]


def _text(base: LoadedBase, template: ChatTemplate, tokens: list[int], stops: frozenset[int]) -> str:
    end = next((at for at, token in enumerate(tokens) if token in stops), None)
    text = without_thoughts(str(base.tokenizer.decode(tokens[:end], skip_special_tokens=True))).strip()
    if template.special_token_in(text):
        return ""
    return text if end is not None else _whole_sentences(text)


def _whole_sentences(text: str) -> str:
    ends = [match.end() for match in SENTENCE_END.finditer(f"{text} ")]
    return text[: ends[-1]].strip() if ends else ""
