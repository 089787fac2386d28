"""Decode steps as recordings: a GPU then starts one graph instead of some thousand operators.

A recording has fixed shapes and reads everything where it lies: token ids, keys and values, weights, adapters. So a
step is padded to the next larger shape that is recorded, and an adapter that is written over another, or a slot that
passes to another reply, needs no new recording. Knows neither requests nor what an adapter is called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

from core.engine.fused_llama import FusedRunner
from core.engine.kv_slots import AttentionRule, KvSlots, SlotTokens, attend_heads
from core.engine.program import Program
from core.engine.step_attention import SlotAttention, fill_mask

# Lengths are padded to this many tokens times a power of two, adapter rows to this many times a power of four.
LEAST_LENGTH = 256
LEAST_ADAPTERS = 4
# Each recording takes some megabytes of the device, besides the memory that all share. Shapes beyond run eagerly.
MAX_RECORDINGS = 64
# torch asks for some passes on another stream before one is captured, in which its libraries set themselves up.
WARM_UP_STEPS = 2

logger = logging.getLogger(__name__)


class Recorder(Protocol):
    """Records what a step does on the device."""

    def record(self, step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """A callable that repeats the step on the same tensors; what it returns holds until any recording is repeated.

        The step may be run meanwhile, once or more. Raises RuntimeError where it cannot be recorded.
        """

    def forget(self) -> None:
        """All recordings were dropped; their memory is not used again."""


class CudaGraphs:
    """Recorder of CUDA graphs that share one pool of memory, as they never run at the same time.

    See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        caller = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(caller)
        # Around the capture too: one that fails leaves its stream behind as the current one.
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_STEPS):
                step()
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                output = step()
        caller.wait_stream(self._stream)

        def repeat() -> torch.Tensor:
            graph.replay()
            return output

        return repeat

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # torch gives up a pool with the last of its graphs


def recorder_for(device: torch.device) -> Recorder | None:
    """What records decode steps on a device; None where they run eagerly."""
    return CudaGraphs(device) if device.type == "cuda" else None


@dataclass(frozen=True, slots=True)
class StepShape:
    """What is fixed in a recording: rows that decode, keys that each looks at, rows of the adapter stack that count."""

    rows: int
    length: int
    adapters: int


def pad(count: int, *, least: int, factor: int, most: int) -> int:
    """The smallest of `least`, `least · factor`, `least · factor²`, ... that holds `count`, but at most `most`."""
    size = least
    while size < count:
        size *= factor
    return min(size, most)


@dataclass(frozen=True, slots=True)
class Recording:
    """`inputs` are the ids, positions and slots of all rows, [3, rows]; `repeat` returns their logits [rows, vocab]."""

    inputs: torch.Tensor
    repeat: Callable[[], torch.Tensor]


class DecodeRows(SlotAttention):
    """Attention of one token a row in a fixed shape; `slots` and `positions` are [rows], on the device.

    Rows without a token lie at a slot's spare place, and what they read is thrown away. Where there is a row for every
    slot, row i is slot i, and keys are read where they lie.
    """

    def __init__(self, kv: KvSlots, slots: torch.Tensor, positions: torch.Tensor, length: int) -> None:
        super().__init__(kv, slots, positions)
        self._length = length
        self._masks: dict[int | None, torch.Tensor] = {}

    def bind_reading(
        self,
        program: Program,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        program.store(out, self._attend, query, keys, values, self._bind_mask(program, rule.window), rule)

    def _attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, rule: AttentionRule
    ) -> torch.Tensor:
        rows, heads, dim = query.shape
        packed = query.reshape(rows, keys.shape[1], -1, dim)
        return attend_heads(packed, self._read(keys), self._read(values), mask, rule).reshape(rows, heads, -1)

    def _read(self, buffer: torch.Tensor) -> torch.Tensor:
        """[rows, kv_heads, length, dim]"""
        seen = buffer[:, :, : self._length]
        return seen if len(self.slots) == self.kv.slots else seen.index_select(0, self.slots)

    def _bind_mask(self, program: Program, window: int | None) -> torch.Tensor:
        """[rows, 1, 1, length], filled once in each run."""
        if window not in self._masks:
            self._masks[window] = program.like.new_empty(len(self.slots), 1, 1, self._length)
            program.add(fill_mask, self._masks[window], self.positions, 0, window)
        return self._masks[window]


class GraphedRunner:
    """A fused runner, a ModelRunner too, whose steps that only decode are recorded once and repeated from then on.

    A shape is recorded when it is met first, which takes as long as a few steps. Everything else runs eagerly; so does
    all, from then on, when a step cannot be recorded, which the log says.
    """

    can_resume = True

    def __init__(self, inner: FusedRunner, recorder: Recorder) -> None:
        self.inner = inner
        self.slots = inner.slots
        self.copy, self.clear = inner.copy, inner.clear
        self.recordings: dict[StepShape, Recording] = {}
        self._recorder: Recorder | None = recorder
        self._moves = inner.stack.moves

    @torch.inference_mode()
    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        shape = self._shape_of([part for part, _ in parts])
        if shape is None:
            return self.inner.forward(parts, wanted)
        rows = [part.slot if shape.rows == self.slots else row for row, (part, _) in enumerate(parts)]
        inputs = self._lay_out(parts, rows, shape)
        chosen = torch.tensor([rows[index] for index in wanted], dtype=torch.long, device=self.inner.device)
        if (recording := self._find(shape, inputs)) is None:
            return self.inner.forward(parts, wanted)
        recording.inputs.copy_(inputs, non_blocking=True)
        return recording.repeat()[chosen]

    def reset(self) -> None:
        """Forget what every slot holds and give its memory back, that of the recordings as well."""
        self.forget()
        self.inner.reset()

    def give_back(self) -> None:
        """Return the model as it was loaded; see ModelRunner."""
        self.forget()
        self.inner.give_back()

    def forget(self) -> None:
        """Drop all recordings."""
        if self.recordings and self._recorder is not None:
            self.recordings.clear()
            self._recorder.forget()

    def _shape_of(self, parts: Sequence[SlotTokens]) -> StepShape | None:
        """The shape to run a step in; None if it does more than decode, or nothing is there yet to be read."""
        kv, stack = self.inner.kv, self.inner.stack
        if self._recorder is None or not kv.has_buffers or any(part.count != 1 for part in parts):
            return None
        length, reach = max(part.length for part in parts), stack.reach(part.slot for part in parts)
        return StepShape(
            rows=pad(len(parts), least=1, factor=2, most=self.slots),
            length=pad(length, least=LEAST_LENGTH, factor=2, most=kv.max_tokens),
            adapters=pad(reach, least=LEAST_ADAPTERS, factor=4, most=stack.rows) if reach else 0,
        )

    def _lay_out(
        self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], rows: Sequence[int], shape: StepShape
    ) -> torch.Tensor:
        """The inputs of a step on the host, padded."""
        ids, positions = [0] * shape.rows, [self.inner.kv.max_tokens] * shape.rows
        slots = [self.slots - 1] * shape.rows
        for row, (part, tokens) in zip(rows, parts, strict=True):
            ids[row], positions[row], slots[row] = tokens[0], part.start, part.slot
        return torch.tensor([ids, positions, slots])

    def _find(self, shape: StepShape, inputs: torch.Tensor) -> Recording | None:
        """The recording of a shape, made with these inputs if it is a new one; None where there can be none."""
        if self._moves != self.inner.stack.moves:
            self.forget()  # they would read the matrices where they were
            self._moves = self.inner.stack.moves
        if shape not in self.recordings and self._recorder is not None and len(self.recordings) < MAX_RECORDINGS:
            own = inputs.to(self.inner.device, copy=True)
            try:
                self.recordings[shape] = Recording(own, self._recorder.record(partial(self._compute, own, shape)))
            except RuntimeError as error:
                logger.warning("Decode steps run without graphs from now on (%s: %s).", type(error).__name__, error)
                self.forget()
                self._recorder = None
        return self.recordings.get(shape)

    def _compute(self, inputs: torch.Tensor, shape: StepShape) -> torch.Tensor:
        _, positions, slots = inputs
        rows = DecodeRows(self.inner.kv, slots, positions, shape.length)
        self.inner.stack.activate_for_any(slots, shape.adapters)
        return self.inner.compute(inputs, rows)
