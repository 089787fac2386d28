"""Any runner, with as many threads as are fastest for each step. Knows torch's switch and the clock, and no policy."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import torch

from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import ModelRunner
from core.engine.thread_choice import ThreadChoice, is_left_to_us


class TunedRunner:
    """Another runner, each of whose steps uses as many threads of the CPU as `choice` says."""

    def __init__(self, inner: ModelRunner, choice: ThreadChoice) -> None:
        self.inner = inner
        self.slots = inner.slots
        self.can_resume = inner.can_resume
        self.copy, self.clear, self.reset, self.give_back = inner.copy, inner.clear, inner.reset, inner.give_back
        self._choice = choice

    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        tokens = sum(part.count for part, _ in parts)
        if (threads := self._choice.threads_for(tokens)) != torch.get_num_threads():
            torch.set_num_threads(threads)
        started = time.perf_counter()
        logits = self.inner.forward(parts, wanted)
        self._choice.note(tokens, time.perf_counter() - started)
        return logits


def tune_threads(runner: ModelRunner, device: torch.device) -> ModelRunner:
    """Let steps on a CPU of several cores find out how many threads are fastest, unless the operator has said it."""
    most = torch.get_num_threads()
    if device.type != "cpu" or most == 1 or not is_left_to_us(os.environ):
        return runner
    return TunedRunner(runner, ThreadChoice(most))
