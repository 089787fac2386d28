"""Keeps what the base model replied to fixed prompts, so that it is asked once and every persona is measured by it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.engine.loading import base_fingerprint
from core.errors import InvalidData, NotFound
from core.outside_files import read_json
from training.kept_json import keep_json
from training.progress import ReportProgress
from training.reply_writer import Ask, ReplyWriter, Written

NAME_CHARS = 16
MAX_BYTES = 256 << 20  # of replies

logger = logging.getLogger(__name__)


class BaseReplies:
    """The base model's replies, read from `folder` where the same was asked before and written there where not."""

    def __init__(self, writer: ReplyWriter, folder: Path) -> None:
        self._writer = writer
        self._folder = folder
        base = writer.base
        self._base = {
            "fingerprint": base_fingerprint(base),
            "dtype": str(base.dtype).removeprefix("torch."),
            "quantization": base.quantization.chosen,
        }

    def write(self, asks: Sequence[Ask], stage: str, progress: ReportProgress) -> tuple[Written, ...]:
        """The replies in the order of `asks`. What is kept but damaged, or answers other prompts, is written again."""
        if not asks:
            return ()
        question = {"base": self._base, "asks": [self._described(ask) for ask in asks]}
        digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        path = self._folder / f"{self._base['fingerprint'][:NAME_CHARS]}-{digest[:NAME_CHARS]}.json"
        if (kept := _read(path, question)) is not None:
            return kept
        written = self._writer.write(asks, None, stage, progress)
        keep_json(path, {**question, "replies": [asdict(reply) for reply in written]}, "The base model's replies are")
        return written

    def _described(self, ask: Ask) -> dict[str, Any]:
        """The prompt as text, because another chat template makes another prompt of the same messages."""
        sampling = {**asdict(ask.sampling), "stop": list(ask.sampling.stop)}
        return {"prompt": self._writer.template.render(ask.messages), "sampling": sampling}


def _read(path: Path, question: dict[str, Any]) -> tuple[Written, ...] | None:
    """The replies in this file; None where there are none, or not to this question."""
    try:
        kept = read_json(path, max_bytes=MAX_BYTES)
        replies = kept.pop("replies")
        is_whole = kept == question and len(replies) == len(question["asks"])
        if is_whole and all(isinstance(one["text"], str) and isinstance(one["is_cut"], bool) for one in replies):
            return tuple(Written(one["text"], one["is_cut"]) for one in replies)
    except NotFound:
        return None
    except (InvalidData, KeyError, TypeError, AttributeError):
        pass  # damaged
    logger.warning("%s does not hold the base model's replies any more; they are written again.", path)
    return None
