"""The KV cache as a fixed set of slots, and attention over them. Knows neither requests nor adapters.

A step's tokens are packed into one row [1, tokens], whatever slots they belong to, so the linear layers see no
padding and read their weights once. Only attention needs to know whose token is whose: it is plugged in through
transformers' attention interface (https://huggingface.co/docs/transformers/attention_interface), so every decoder
built on that interface keeps its own modelling code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

ATTENTION_NAME = "kv_slots"
# Masked key lengths are rounded up, because CUDA's kernels want aligned masks.
LENGTH_STEP = 16
# Rows decode in one call when their lengths differ by less than this factor, or by few tokens.
MAX_LENGTH_RATIO = 2
SHORT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class SlotTokens:
    """Tokens of one slot in a step: `count` tokens from position `start` on."""

    slot: int
    start: int
    count: int

    @property
    def length(self) -> int:
        """Positions that are filled once these tokens are written."""
        return self.start + self.count


@dataclass(slots=True)
class Span:
    """Packed tokens [begin, end) that attend together.

    Either one token each of neighbouring slots (decode), or several tokens of one slot (prefill).
    """

    begin: int
    end: int
    parts: list[SlotTokens]
    masks: dict[tuple[int | None, int], tuple[int, torch.Tensor | None]] = field(default_factory=dict)

    @property
    def is_decode(self) -> bool:
        return self.parts[0].count == 1

    @property
    def length(self) -> int:
        return max(part.length for part in self.parts)

    def can_take(self, part: SlotTokens) -> bool:
        """Whether the next packed part may join this span's attention call."""
        if not (self.is_decode and part.count == 1 and part.slot == self.parts[-1].slot + 1):
            return False
        shorter, longer = sorted((self.length, part.length))
        return longer <= MAX_LENGTH_RATIO * shorter or longer - shorter <= SHORT_TOKENS


def make_spans(parts: Sequence[SlotTokens]) -> list[Span]:
    """Group the parts of a step, in packed order, into attention calls."""
    spans: list[Span] = []
    begin = 0
    for part in parts:
        end = begin + part.count
        if spans and spans[-1].can_take(part):
            spans[-1].parts.append(part)
            spans[-1].end = end
        else:
            spans.append(Span(begin, end, [part]))
        begin = end
    return spans


@dataclass(frozen=True, slots=True)
class PackedStep:
    """The tokens of a step side by side: `rows` are their ids, positions and slots [3, tokens]."""

    rows: torch.Tensor
    spans: list[Span]
    ends: list[int]

    @property
    def ids(self) -> torch.Tensor:
        """[1, tokens]"""
        return self.rows[:1]

    @property
    def positions(self) -> torch.Tensor:
        """[1, tokens]"""
        return self.rows[1:2]

    @property
    def slots(self) -> torch.Tensor:
        """[tokens]"""
        return self.rows[2]

    def last_of(self, wanted: Sequence[int]) -> torch.Tensor:
        """Where the last tokens of these parts lie."""
        # In a step of unfinished prompts nobody wants a token, and an empty list alone would make a tensor of floats.
        return torch.tensor([self.ends[i] for i in wanted], dtype=torch.long, device=self.rows.device)


def pack_step(parts: Sequence[tuple[SlotTokens, Sequence[int]]], device: torch.device) -> PackedStep:
    """Lay the token ids of a step's parts side by side on the device."""
    ids: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    ends: list[int] = []
    for part, tokens in parts:
        ids.extend(tokens)
        positions.extend(range(part.start, part.length))
        slots.extend([part.slot] * part.count)
        ends.append(len(ids) - 1)
    # One transfer for everything that the step needs on the device.
    rows = torch.tensor([ids, positions, slots]).to(device, non_blocking=True)
    return PackedStep(rows, make_spans([part for part, _ in parts]), ends)


class KvSlots:
    """Keys and values of all slots: per layer two buffers [slots, kv_heads, max_tokens + 1, head_dim].

    The last position of each slot is a spare place that nobody reads. Buffers are made when a layer first writes,
    because only then its heads are known. Sliding-window layers keep every position too, so that any prefix of a slot
    can be reused.
    """

    def __init__(self, slots: int, max_tokens: int) -> None:
        self.slots = slots
        self.max_tokens = -(-max_tokens // LENGTH_STEP) * LENGTH_STEP
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._step = PackedStep(torch.empty(3, 0, dtype=torch.long), [], [])
        self._places: dict[int, torch.Tensor] = {}

    @property
    def has_buffers(self) -> bool:
        """Whether a step has been here since the last `reset`."""
        return bool(self._layers)

    def places(self, slots: torch.Tensor, positions: torch.Tensor, kv_heads: int) -> torch.Tensor:
        """[tokens, kv_heads]: the rows of a buffer, see `rows_of`, where the heads of these tokens are stored."""
        heads = slots.unsqueeze(1) * kv_heads + torch.arange(kv_heads, device=slots.device)
        return heads * (self.max_tokens + 1) + positions.unsqueeze(1)

    def buffers(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's two buffers, for keys and values like these [tokens, kv_heads, head_dim]."""
        if layer not in self._layers:
            self._layers[layer] = self._make_buffer(key), self._make_buffer(value)
        return self._layers[layer]

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first tokens of a slot to another."""
        for buffers in self._layers.values():
            for buffer in buffers:
                buffer[target, :, :tokens] = buffer[source, :, :tokens]

    def clear(self, slot: int) -> None:
        """Zero a slot: NaN in masked positions would spoil the next reply."""
        for buffers in self._layers.values():
            for buffer in buffers:
                buffer[slot].zero_()

    def reset(self) -> None:
        """Give all buffers back."""
        self._layers.clear()

    def begin(self, step: PackedStep) -> None:
        """Prepare the calls of `attend` that are one step."""
        self._step = step
        self._places.clear()

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: AttentionRule
    ) -> torch.Tensor:
        """Attention of all packed tokens, each [tokens, heads, dim]; returns [tokens, heads, value_dim]."""
        keys, values = self.buffers(layer, key, value)
        kv_heads = key.shape[1]
        if kv_heads not in self._places:
            self._places[kv_heads] = self.places(self._step.slots, self._step.positions[0], kv_heads)
        for buffer, new in ((keys, key), (values, value)):
            rows_of(buffer).index_put_((self._places[kv_heads],), new)
        spans = self._step.spans
        if len(spans) == 1:
            return attend_span(spans[0], query, keys, values, rule)
        return torch.cat([attend_span(span, query[span.begin : span.end], keys, values, rule) for span in spans])

    def _make_buffer(self, new: torch.Tensor) -> torch.Tensor:
        _, kv_heads, dim = new.shape
        return new.new_zeros(self.slots, kv_heads, self.max_tokens + 1, dim)


def rows_of(buffer: torch.Tensor) -> torch.Tensor:
    """A buffer of KvSlots as [rows, head_dim]."""
    return buffer.view(-1, buffer.shape[-1])


@dataclass(frozen=True, slots=True)
class AttentionRule:
    """What a layer asks of attention: the scale of scores, a sliding window, a soft cap (Gemma 2)."""

    scale: float
    window: int | None = None
    softcap: float | None = None


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    kv_slots: KvSlots,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function transformers calls in each layer. Raises ValueError for kinds it does not know."""
    if attention_mask is not None or any(unused.get(kind) is not None for kind in ("s_aux", "position_bias", "cache")):
        raise ValueError("this model's attention needs more than a causal or sliding mask")
    scale = scaling if scaling is not None else 1 / math.sqrt(query.shape[-1])
    layer: Any = module.layer_idx
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    return kv_slots.attend(layer, query, key, value, AttentionRule(scale, sliding_window, softcap)).unsqueeze(0), None


def attend_span(
    span: Span, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, rule: AttentionRule
) -> torch.Tensor:
    """query: [tokens, heads, dim] of this span, the others a layer's buffers; returns [tokens, heads, value_dim].

    Query heads that share a key head are laid side by side as more queries, so keys are never repeated.
    """
    tokens, heads, dim = query.shape
    kv_heads = keys.shape[1]
    group = heads // kv_heads
    first, last = span.parts[0].slot, span.parts[-1].slot
    begin, mask = _mask(span, rule.window, 1 if span.is_decode else group, query)
    length = span.length if mask is None else begin + mask.shape[-1]
    key, value = keys[first : last + 1, :, begin:length], values[first : last + 1, :, begin:length]
    if span.is_decode:
        packed = query.reshape(tokens, kv_heads, group, dim)
    else:
        packed = query.reshape(1, tokens, kv_heads, group, dim).permute(0, 2, 3, 1, 4).flatten(2, 3)
    output = attend_heads(packed, key, value, mask, rule)
    if span.is_decode:
        return output.reshape(tokens, heads, -1)
    return output.view(kv_heads, group, tokens, -1).permute(2, 0, 1, 3).reshape(tokens, heads, -1)


def attend_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, rule: AttentionRule
) -> torch.Tensor:
    """Attention of [rows, kv_heads, queries, dim] to [rows, kv_heads, keys, dim]; `mask` is added to the scores."""
    if rule.softcap is not None:
        return _capped_attention(query, key, value, mask, rule.scale, rule.softcap)
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=rule.scale)


def _capped_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float, cap: float
) -> torch.Tensor:
    """softmax(cap · tanh(scale · q kᵀ / cap) + mask) v, as Gemma 2 defines it (arXiv:2408.00118, section 2)."""
    scores = torch.tanh(query @ key.transpose(-1, -2) * (scale / cap)) * cap
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


def hidden_keys(query_at: torch.Tensor, key_at: torch.Tensor, window: int | None) -> torch.Tensor:
    """[queries, keys]: a query at position p, of [queries, 1], sees the keys at max(0, p - window + 1) to p alone."""
    is_hidden = key_at > query_at
    return is_hidden if window is None else is_hidden | (key_at <= query_at - window)


def _mask(span: Span, window: int | None, group: int, like: torch.Tensor) -> tuple[int, torch.Tensor | None]:
    """(first key position, additive mask or None where every key may be seen), made once per step and kind of layer."""
    if (window, group) not in span.masks:
        span.masks[window, group] = _make_mask(span, window, group, like)
    return span.masks[window, group]


def _make_mask(span: Span, window: int | None, group: int, like: torch.Tensor) -> tuple[int, torch.Tensor | None]:
    starts = [part.start for part in span.parts]
    begin = 0 if window is None else max(0, min(starts) - window + 1)
    if span.is_decode and min(starts) == max(starts):
        return begin, None  # one length: the slice of keys is the mask
    begin = begin // LENGTH_STEP * LENGTH_STEP
    end = -(-span.length // LENGTH_STEP) * LENGTH_STEP
    key_at = torch.arange(begin, end, device=like.device)
    if span.is_decode:
        query_at = torch.tensor(starts, device=like.device).view(-1, 1)
    else:
        query_at = torch.arange(starts[0], span.length, device=like.device).view(-1, 1)
    is_hidden = hidden_keys(query_at, key_at, window)
    mask = torch.zeros(is_hidden.shape, dtype=like.dtype, device=like.device).masked_fill_(is_hidden, -math.inf)
    return begin, mask.view(-1, 1, 1, len(key_at)) if span.is_decode else mask.repeat(group, 1)
