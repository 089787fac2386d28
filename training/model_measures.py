"""What evaluation asks of a model with an adapter: the loss of given replies, and replies of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from core.engine.chat_template import ChatTemplate
from core.messages import ChatMessage
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


def write_replies(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    prompts: Sequence[Sequence[ChatMessage]],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_row: Callable[[], None],
) -> tuple[str, ...]:
    """Greedy replies to these prompts, in their order."""
    encoded = [template.encode(prompt) for prompt in prompts]
    # Prompts of like length share a batch: less padding.
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    replies = [""] * len(encoded)
    for group in _groups(order, batch_size):
        ids, mask = _pad_left([encoded[index] for index in group], tokenizer.pad_token_id or 0)
        with torch.no_grad():
            output = model.generate(  # type: ignore[no-untyped-call]
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id or 0,
            )
        for index, row in zip(group, output[:, ids.shape[1] :], strict=True):
            replies[index] = tokenizer.decode(row, skip_special_tokens=True).strip()
            on_row()
    return tuple(replies)


def _groups(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask
