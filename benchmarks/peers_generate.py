"""Peers that call `model.generate`: PEFT one request after another, PEFT's mixed batch, and a plain batch.

A batch takes everybody who has arrived, up to its capacity, and ends with its longest reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer

from benchmarks.random_base import RandomBase, adapter_name
from benchmarks.systems import ArrivalLine, Capacity, Reply
from benchmarks.workloads import Request

PAD = 0


class StepClock(BaseStreamer):  # type: ignore[misc]
    """Notes when each step's tokens are there. `generate` puts the prompt first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


class GenerateSystem:
    """Batches through `generate`. `choose_adapters` prepares the model for a batch and returns more arguments."""

    def __init__(
        self, model: Any, batch_size: int, choose_adapters: Callable[[Sequence[Request]], dict[str, Any]]
    ) -> None:
        self._model = model.eval()
        self._batch_size = batch_size
        self._choose_adapters = choose_adapters

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        line = ArrivalLine(requests)
        replies: dict[str, Reply] = {}
        while line.has_more:
            batch = line.take(self._batch_size)
            for request, reply in zip(batch, self._write(batch, line), strict=True):
                replies[request.request_id] = reply
        return [replies[request.request_id] for request in requests]

    def close(self) -> None:
        """There is nothing to end."""

    @torch.inference_mode()
    def _write(self, batch: Sequence[Request], line: ArrivalLine) -> list[Reply]:
        extra = self._choose_adapters(batch)
        longest = max(len(request.prompt) for request in batch)
        padding = [longest - len(request.prompt) for request in batch]
        ids = [[PAD] * pad + list(request.prompt) for pad, request in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * len(request.prompt) for pad, request in zip(padding, batch, strict=True)]
        config = GenerationConfig(
            max_new_tokens=max(request.new_tokens for request in batch), do_sample=False, pad_token_id=PAD
        )
        clock = StepClock()
        output = self._model.generate(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            generation_config=config,
            streamer=clock,
            **extra,
        )
        times = [line.since_start(time_s) for time_s in clock.times[1:]]
        tokens = output[:, longest:].tolist()
        return [
            Reply(tuple(row[: request.new_tokens]), tuple(times[: request.new_tokens]))
            for row, request in zip(tokens, batch, strict=True)
        ]


def load_base(base: RandomBase) -> PreTrainedModel:
    """The plain model in its dtype."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base.model_folder, dtype=getattr(torch, base.dtype))
    return model


def _load_peft(base: RandomBase) -> PeftModel:
    model = load_base(base)
    first, *others = base.adapter_folders
    peft_model = PeftModel.from_pretrained(model, first, adapter_name=first.name)
    for folder in others:
        peft_model.load_adapter(folder, adapter_name=folder.name)
    return peft_model.to(getattr(torch, base.dtype))


def peft_one_by_one(base: RandomBase, capacity: Capacity) -> GenerateSystem:
    """PEFT as most people use it: `set_adapter`, then `generate` for one request."""
    model = _load_peft(base)

    def choose(batch: Sequence[Request]) -> dict[str, Any]:
        model.set_adapter(adapter_name(batch[0].adapter))
        return {}

    return GenerateSystem(model, 1, choose)


def peft_lone(base: RandomBase, capacity: Capacity) -> GenerateSystem:
    """PEFT with nothing to switch: the adapter of the lone request is active already."""
    model = _load_peft(base)
    model.set_adapter(adapter_name(0))
    return GenerateSystem(model, 1, lambda batch: {})


def peft_mixed_batch(base: RandomBase, capacity: Capacity) -> GenerateSystem:
    """PEFT's own mixed batch: `generate(adapter_names=[...])`."""

    def choose(batch: Sequence[Request]) -> dict[str, Any]:
        return {"adapter_names": [adapter_name(request.adapter) for request in batch]}

    return GenerateSystem(_load_peft(base), capacity.rows, choose)


def plain_batch(base: RandomBase, capacity: Capacity) -> GenerateSystem:
    """The base model alone: what the batch costs without LoRA."""
    return GenerateSystem(load_base(base), capacity.rows, lambda batch: {})
