"""Peer: transformers' own continuous batching, with this project's LoRA layer hooked in, or without LoRA.

transformers 5.23 has no LoRA per request. The hook: a logits processor that processes nothing, but carries each
request's adapter into the static input tensors of every step; from there a forward hook sets the row weights.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager
from transformers.generation.continuous_batching.requests import FutureRequestState

from benchmarks.peers_generate import load_base
from benchmarks.random_base import R, RandomBase
from benchmarks.systems import Capacity, Reply
from benchmarks.workloads import Request
from core.engine.adapter_files import AdapterReader
from core.engine.multi_lora import AdapterStack

PAGE_TOKENS = 32
# As many prompt tokens a step as this project's engine takes, beside one token for each running reply.
PREFILL_TOKENS = 256
NO_STOP_TOKEN = -1
RESULT_TIMEOUT_S = 600.0


class AdapterCarrier(ContinuousBatchingLogitsProcessorList):  # type: ignore[misc]
    """Accepts `add_request(..., adapter=index)` and writes one int32 per request of a step, prefilling ones too."""

    def __init__(self) -> None:
        super().__init__(LogitsProcessorList())
        self.supported_keys = {"adapter": int}
        self.tensors_required = 1

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(
        self, requests_in_batch: list[FutureRequestState], arg_storage: torch.Tensor
    ) -> torch.Tensor:
        adapters = [request.state.logit_processor_kwargs["adapter"] for request in requests_in_batch]
        arg_storage[0, : len(adapters)] = torch.tensor(adapters, dtype=torch.int32)
        return arg_storage


class ContinuousBatching:
    """ContinuousBatchingManager as a system. `stack` holds the adapters: stack slot i gives adapter i full weight."""

    def __init__(self, model: PreTrainedModel, stack: AdapterStack | None, capacity: Capacity) -> None:
        self._stack = stack
        self._manager = _make_manager(model, AdapterCarrier() if stack else None, capacity)
        if stack is not None:
            model.register_forward_pre_hook(self._activate_adapters, with_kwargs=True)
        self._manager.start()

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        started = time.perf_counter()
        for request in sorted(requests, key=lambda request: request.arrival_s):
            time.sleep(max(0.0, request.arrival_s - (time.perf_counter() - started)))
            self._manager.add_request(
                list(request.prompt),
                request_id=request.request_id,
                max_new_tokens=request.new_tokens,
                record_timestamps=True,
                eos_token_id=NO_STOP_TOKEN,
                **({"adapter": request.adapter} if self._stack else {}),
            )
        replies: dict[str, Reply] = {}
        for _ in requests:
            output = self._manager.get_result(timeout=RESULT_TIMEOUT_S)
            if output is None or output.error is not None:
                raise RuntimeError(f"Continuous batching gave no reply: {output and output.error}")
            times = tuple(clock_s - started for clock_s in output.timestamps or ())
            replies[output.request_id] = Reply(tuple(output.generated_tokens), times)
        return [replies[request.request_id] for request in requests]

    def close(self) -> None:
        self._manager.stop()

    def _activate_adapters(self, model: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Before each forward pass: the adapter of every packed token, from the adapters of the step's requests."""
        assert self._stack is not None
        adapters, tokens = kwargs["logits_processor_args"][0].long(), kwargs["cu_seq_lens_q"].diff()
        parts = list(zip(adapters.tolist(), tokens.tolist(), strict=True))
        self._stack.activate(parts, adapters.repeat_interleave(tokens))


def continuous_with_lora(base: RandomBase, capacity: Capacity) -> ContinuousBatching:
    """Loaded in a thread that ends: were its OpenMP threads still there, libgomp would let those that serve sleep."""
    with ThreadPoolExecutor(max_workers=1) as loader:
        model, stack = loader.submit(_load_with_lora, base).result()
    return ContinuousBatching(model, stack, capacity)


def _load_with_lora(base: RandomBase) -> tuple[PreTrainedModel, AdapterStack]:
    model = load_base(base).eval()
    stack = AdapterStack(model, rows=len(base.adapter_refs), slots=len(base.adapter_refs), dtype=model.dtype)
    reader = AdapterReader((base.folder,), stack.targets, R)
    for index, (ref, folder) in enumerate(zip(base.adapter_refs, base.adapter_folders, strict=True)):
        stack.load(index, reader.read(ref, folder))
        stack.assign(index, {index: 1.0})
    return model, stack


def continuous_without_lora(base: RandomBase, capacity: Capacity) -> ContinuousBatching:
    return ContinuousBatching(load_base(base).eval(), None, capacity)


def _make_manager(
    model: PreTrainedModel, carrier: AdapterCarrier | None, capacity: Capacity
) -> ContinuousBatchingManager:
    manager: ContinuousBatchingManager = model.init_continuous_batching(
        GenerationConfig(do_sample=False, eos_token_id=NO_STOP_TOKEN, pad_token_id=0),
        ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=(capacity.context_tokens // PAGE_TOKENS + 2) * capacity.rows,
            max_batch_tokens=PREFILL_TOKENS + capacity.rows,
            max_requests_per_batch=capacity.rows,
            # Its prefix cache knows no adapters, and would mix up their keys and values.
            allow_block_sharing=False,
        ),
    )
    if carrier is not None:
        manager.logit_processor = carrier
    return manager
