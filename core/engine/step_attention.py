"""Attention of a packed step over KvSlots, bound to its tensors: replies that decode are read where they lie.

Lengths are padded and masked, and masks are filled anew at every run. So a program of decoding replies holds for all
steps in which the same slots decode and no reply outgrows its length.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from core.engine.kv_slots import (
    LENGTH_STEP,
    AttentionRule,
    KvSlots,
    Span,
    attend_heads,
    attend_span,
    hidden_keys,
    rows_of,
)
from core.engine.program import Program

# A multiple of kv_slots.LENGTH_STEP. A program is made anew when a reply outgrows it; in between, masked keys are read.
DECODE_STEP = 4 * LENGTH_STEP

# What a span of decoding replies must share with another for the same program: its first slot, how many there are, and
# between which positions they are.
SpanShape = tuple[int, int, int, int]


def shape_of(span: Span) -> SpanShape:
    """What counts of a span of decoding replies."""
    starts = [part.start for part in span.parts]
    return span.parts[0].slot, len(starts), min(starts) // DECODE_STEP, max(starts) // DECODE_STEP


class SlotAttention(ABC):
    """An Attention, see fused_layer.py, that stores in KvSlots. `slots` and `positions` are [tokens].

    What they hold may change from run to run.
    """

    def __init__(self, kv: KvSlots, slots: torch.Tensor, positions: torch.Tensor) -> None:
        self.kv = kv
        self.slots = slots
        self.positions = positions
        self._places: dict[int, torch.Tensor] = {}

    def bind(
        self,
        program: Program,
        layer: int,
        states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        """See Attention."""
        query, key, value = states
        keys, values = self.kv.buffers(layer, key, value)
        places = self._bind_places(program, key.shape[1])
        for buffer, new in ((keys, key), (values, value)):
            program.add(rows_of(buffer).index_put_, (places,), new)
        self.bind_reading(program, query, keys, values, rule, out)

    @abstractmethod
    def bind_reading(
        self,
        program: Program,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        """Attend to the layer's buffers, which hold this step's keys and values, too."""

    def _bind_places(self, program: Program, kv_heads: int) -> torch.Tensor:
        """Where keys and values go; found out once in each run."""
        if kv_heads not in self._places:
            self._places[kv_heads] = self.slots.new_empty(len(self.slots), kv_heads)
            program.store(self._places[kv_heads], self.kv.places, self.slots, self.positions, kv_heads)
        return self._places[kv_heads]


class StepAttention(SlotAttention):
    """Attention of the spans of a packed step."""

    def __init__(self, kv: KvSlots, spans: Sequence[Span], slots: torch.Tensor, positions: torch.Tensor) -> None:
        super().__init__(kv, slots, positions)
        self._spans = spans
        self._masks: dict[tuple[int, int | None, int], tuple[int, torch.Tensor]] = {}

    def bind_reading(
        self,
        program: Program,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        for span in self._spans:
            part = slice(span.begin, span.end)
            if span.is_decode:
                self._bind_decode(program, span, query[part], keys, values, rule, out[part])
            else:
                program.store(out[part], attend_span, span, query[part], keys, values, rule)

    def _bind_decode(
        self,
        program: Program,
        span: Span,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        rule: AttentionRule,
        out: torch.Tensor,
    ) -> None:
        rows, heads, dim = query.shape
        kv_heads = keys.shape[1]
        group = heads // kv_heads
        begin, mask = self._bind_mask(program, span, rule.window, kv_heads)
        first, end = span.parts[0].slot, begin + mask.shape[-1]
        packed = query.view(rows, kv_heads, group, dim)
        if rule.softcap is not None or query.dtype != torch.float32 or query.device.type != "cpu":
            key, value = (buffer[first : first + rows, :, begin:end] for buffer in (keys, values))
            program.store(out.view(rows, kv_heads, group, -1), attend_heads, packed, key, value, mask, rule)
            return
        # For so few queries, two batched products take two thirds of the time of torch's flash attention.
        key, value = (
            buffer.view(-1, *buffer.shape[2:])[first * kv_heads : (first + rows) * kv_heads, begin:end]
            for buffer in (keys, values)
        )
        scores = program.room("scores", rows * kv_heads, group, end - begin)
        side_by_side = program.room("queries", rows, kv_heads, group, dim)
        program.add(side_by_side.copy_, packed)
        flat, hidden = side_by_side.flatten(0, 1), mask.flatten(0, 1)
        program.add(torch.baddbmm, hidden, flat, key.transpose(1, 2), alpha=rule.scale, out=scores)
        program.add(torch.softmax, scores, -1, out=scores)
        program.add(torch.bmm, scores, value, out=out.view(rows * kv_heads, group, -1))

    def _bind_mask(self, program: Program, span: Span, window: int | None, kv_heads: int) -> tuple[int, torch.Tensor]:
        """(first key position, additive mask [rows, kv_heads, 1, keys]), filled once in each run."""
        name = span.begin, window, kv_heads
        if name not in self._masks:
            _, rows, least, most = shape_of(span)
            begin = 0 if window is None else max(0, least * DECODE_STEP - window + 1) // LENGTH_STEP * LENGTH_STEP
            end = min((most + 1) * DECODE_STEP, self.kv.max_tokens)
            mask = program.like.new_empty(rows, kv_heads, 1, end - begin)
            program.add(fill_mask, mask, self.positions[span.begin : span.end], begin, window)
            self._masks[name] = begin, mask
        return self._masks[name]


def fill_mask(mask: torch.Tensor, positions: torch.Tensor, begin: int, window: int | None) -> None:
    """Hide what queries at these positions [rows] do not see. mask: [rows, heads, 1, keys from `begin`], additive."""
    key_at = torch.arange(begin, begin + mask.shape[-1], device=positions.device)
    is_hidden = hidden_keys(positions.unsqueeze(-1), key_at, window)
    mask.zero_().masked_fill_(is_hidden[:, None, None], -math.inf)
