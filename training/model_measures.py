"""What evaluation asks of a model with an adapter: how well it foresees given replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from peft import PeftModel

from core.engine.chat_template import ChatTemplate
from training.dataset_builder import Example


def perplexity(
    model: PeftModel, template: ChatTemplate, examples: Sequence[Example], on_row: Callable[[], None]
) -> float:
    """exp(Σ negative log-likelihood / Σ tokens) over the tokens of all replies, prompts not counted.

    Weighted by tokens, not a mean of batch means, so that it does not depend on how rows are grouped. One row at a
    time: no padding, and the same figure on every device.
    """
    total_nll, total_tokens = 0.0, 0
    for example in examples:
        whole = template.encode_text(template.render(example.prompt, reply=example.reply))
        # Where a tokenizer merges across the border, the reply begins at the first token that differs.
        prompt = template.encode(example.prompt)
        start = next((at for at, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt))
        ids = torch.tensor([whole], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, start - 1 : -1].float()
        total_nll += torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="sum").item()
        total_tokens += len(whole) - start
        on_row()
    return math.exp(total_nll / total_tokens)
