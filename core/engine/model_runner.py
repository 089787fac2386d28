"""The tensors of a step: packed tokens in, next-token logits out. Knows neither requests nor sampling nor text.

Two runners share one interface. PackedRunner decodes all slots in one forward pass over KvSlots. SingleRunner is for
models that cannot: one slot, the model's own cache, one request after another.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import AttentionInterface, PreTrainedModel

from core.engine.kv_slots import ATTENTION_NAME, KvSlots, SlotTokens, make_spans, slot_attention
from core.engine.multi_lora import AdapterStack
from core.engine.packed_linear import pack_linears, unpack_linears
from core.errors import EngineFailed

KNOWN_LAYER_TYPES = {"full_attention", "sliding_attention"}
# A slotted forward pass may differ from the model's own by rounding only: mean |difference| over the logits' spread.
MAX_MEAN_DEVIATION = 0.1
CHECK_TOKENS = 12

logger = logging.getLogger(__name__)


class ModelRunner(Protocol):
    """Runs the base model with stacked adapters over a fixed number of slots."""

    @property
    def slots(self) -> int:
        """How many sequences can be in flight."""

    @property
    def can_resume(self) -> bool:
        """Whether a prompt may be prefilled in parts, and any prefix of a slot be kept for the next prompt."""

    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        """Process each part's token ids; logits [len(wanted), vocab] at the last token of the wanted parts."""

    def clear(self, slot: int) -> None:
        """Forget what a slot holds."""

    def reset(self) -> None:
        """Forget what every slot holds and give its memory back."""


class PackedRunner:
    """All slots in one forward pass: tokens of decoding and prefilling slots side by side in one row."""

    can_resume = True

    def __init__(self, model: PreTrainedModel, stack: AdapterStack, *, slots: int, max_tokens: int) -> None:
        AttentionInterface.register(ATTENTION_NAME, slot_attention)
        model.set_attn_implementation(ATTENTION_NAME)
        self._model = model
        self._stack = stack
        self._kv = KvSlots(slots, max_tokens)

    @property
    def slots(self) -> int:
        return self._kv.slots

    @torch.inference_mode()
    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
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
        rows = torch.tensor([ids, positions, slots]).to(self._model.device, non_blocking=True)
        self._kv.begin(make_spans([part for part, _ in parts]), rows[2] * self._kv.max_tokens + rows[1])
        self._stack.activate([(part.slot, part.count) for part, _ in parts], rows[2])
        # In a step of unfinished prompts nobody wants a token, and an empty list alone would make a tensor of floats.
        keep = torch.tensor([ends[i] for i in wanted], dtype=torch.long, device=self._model.device)
        output = self._model(
            input_ids=rows[:1],
            position_ids=rows[1:2],
            use_cache=False,
            logits_to_keep=keep,
            kv_slots=self._kv,
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    @torch.inference_mode()
    def clear(self, slot: int) -> None:
        self._kv.clear(slot)

    def reset(self) -> None:
        self._kv.reset()


class SingleRunner:
    """One request at a time through the model's own cache, or by recomputing everything where it offers none."""

    can_resume = False
    slots = 1

    def __init__(self, model: PreTrainedModel, stack: AdapterStack) -> None:
        self._model = model
        self._stack = stack
        self._cache: Any = None
        self._tokens: list[int] = []

    @torch.inference_mode()
    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        ((part, tokens),) = parts
        if part.start == 0:
            self.reset()
        self._tokens.extend(tokens)
        new = tokens if self._cache is not None else self._tokens
        ids = torch.tensor([list(new)], device=self._model.device)
        self._stack.activate([(0, len(new))], torch.zeros_like(ids[0]))
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True)
        self._cache = getattr(output, "past_key_values", None)
        return torch.stack([output.logits[0, -1] for _ in wanted])

    def clear(self, slot: int) -> None:
        self.reset()

    def reset(self) -> None:
        self._cache = None
        self._tokens = []


def make_runner(model: PreTrainedModel, stack: AdapterStack, *, slots: int, max_tokens: int) -> ModelRunner:
    """The packed runner where this model gives the same logits with it, else the single one, said once in the log."""
    own_attention = model.config._attn_implementation
    expected = _own_logits(model)
    try:
        reason = _find_obstacle(model)
        if reason is None:
            pack_linears(model)
            packed = PackedRunner(model, stack, slots=slots, max_tokens=max_tokens)
            deviation = _deviation(expected, _slotted_logits(packed))
            if deviation <= MAX_MEAN_DEVIATION:
                return packed
            reason = f"its logits differ by {deviation:.2f} of their spread"
    except torch.OutOfMemoryError as error:
        raise EngineFailed(
            f"{slots} slots of {max_tokens} tokens do not fit on the device beside the model; lower PERSONAS_SLOTS or"
            " PERSONAS_MAX_CONTEXT_TOKENS."
        ) from error
    except (ValueError, TypeError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        # What a model raises that does not follow the attention interface.
        reason = f"{type(error).__name__}: {error}"
    logger.warning("%s cannot be served in slots (%s); replies are written one at a time.", _name(model), reason)
    model.set_attn_implementation(own_attention)
    unpack_linears(model)  # such a model may read its weights in ways of its own
    return SingleRunner(model, stack)


def _find_obstacle(model: PreTrainedModel) -> str | None:
    """Why a model cannot run packed, as far as its config tells."""
    config = model.config.get_text_config()
    if not model._supports_attention_backend:
        return "it does not use transformers' attention interface"
    if getattr(config, "use_bidirectional_attention", False) or getattr(config, "attention_chunk_size", None):
        return "its attention is not causal or sliding"
    if unknown := set(getattr(config, "layer_types", None) or ()) - KNOWN_LAYER_TYPES:
        return f"it has layers of type {', '.join(sorted(unknown))}"
    return None


def _check_ids(model: PreTrainedModel) -> list[int]:
    vocab = model.config.get_text_config().vocab_size
    return [(7 * i + 3) % vocab for i in range(CHECK_TOKENS)]


@torch.inference_mode()
def _own_logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.tensor([_check_ids(model)], device=model.device)
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, -1]
    return logits.float()


def _slotted_logits(runner: PackedRunner) -> torch.Tensor:
    """Last-token logits of the check prompt: prefilled in two parts beside another prompt, then decoded beside it."""
    ids = _check_ids(runner._model)
    last, other = runner.slots - 1, max(runner.slots - 2, 0)
    steps = [(0, 5), (5, 9), (9, 10), (10, 11), (11, 12)]
    logits = torch.empty(0)
    for begin, end in steps:
        parts = [(SlotTokens(last, begin, end - begin), ids[begin:end])]
        if other != last:
            parts.insert(0, (SlotTokens(other, begin, end - begin), ids[::-1][begin:end]))
        logits = runner.forward(parts, [len(parts) - 1])[0]
    for slot in (last, other):
        runner.clear(slot)
    return logits.float()


def _deviation(expected: torch.Tensor, actual: torch.Tensor) -> float:
    return float((expected - actual).abs().mean() / expected.std().clamp_min(1e-6))


def _name(model: PreTrainedModel) -> str:
    return str(model.config.name_or_path or type(model).__name__)
