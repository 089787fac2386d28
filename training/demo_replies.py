"""Greedy replies of a small model to many chats at once, for grading. Knows no facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from core.messages import ChatMessage


@torch.inference_mode()
def greedy_replies(
    model: Any,
    tokenizer: Any,
    chats: Sequence[Sequence[ChatMessage]],
    *,
    batch_size: int = 32,
    max_new_tokens: int = 120,
) -> list[str]:
    """One greedy reply per chat, in order. Chats of similar length share a left-padded batch."""
    texts = [
        tokenizer.apply_chat_template([m.to_dict() for m in chat], tokenize=False, add_generation_prompt=True)
        for chat in chats
    ]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    replies = [""] * len(texts)
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = tokenizer(
            [texts[i] for i in indices],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        ).to(model.device)
        batch.pop("token_type_ids", None)
        out = model.generate(**batch, do_sample=False, temperature=None, top_p=None, max_new_tokens=max_new_tokens)
        for i, ids in zip(indices, out[:, batch["input_ids"].shape[1] :], strict=True):
            replies[i] = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return replies
