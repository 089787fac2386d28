"""What evaluation asks of a model with an adapter: how well it foresees given replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel

from core.engine.chat_template import ChatTemplate
from training.dataset_builder import Example, token_ids


@dataclass(frozen=True, slots=True)
class Loss:
    """Σ negative log-likelihood over so many tokens."""

    nll: float
    tokens: int


def perplexity(
    model: PeftModel, template: ChatTemplate, examples: Sequence[Example], on_row: Callable[[], None]
) -> float:
    """exp(Σ negative log-likelihood / Σ tokens) over the tokens of all replies, prompts not counted.

    Weighted by tokens, not a mean of batch means, so that it does not depend on how rows are grouped. One row at a
    time: no padding, and the same figure on every device.
    """
    losses = reply_losses(model, template, examples, on_row)
    return math.exp(sum(loss.nll for loss in losses) / sum(loss.tokens for loss in losses))


def reply_losses(
    model: PeftModel, template: ChatTemplate, examples: Sequence[Example], on_row: Callable[[], None]
) -> list[Loss]:
    """How well the model foresees each reply, the prompt not counted."""
    losses = []
    for example in examples:
        whole = token_ids(example, template)
        # Where a tokenizer merges across the border, the reply begins at the first token that differs.
        prompt = template.encode(example.prompt)
        start = next((at for at, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt))
        losses.append(_loss(model, whole, start))
        on_row()
    return losses


def text_losses(
    model: PeftModel, template: ChatTemplate, texts: Sequence[str], on_row: Callable[[], None]
) -> list[Loss]:
    """How well the model foresees each plain text after its first token."""
    losses = []
    for text in texts:
        losses.append(_loss(model, template.encode_text(text), 1))
        on_row()
    return losses


def _loss(model: PeftModel, tokens: Sequence[int], start: int) -> Loss:
    ids = torch.tensor([list(tokens)], device=model.device)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, start - 1 : -1].float()
    nll = torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="sum").item()
    return Loss(nll, len(tokens) - start)
