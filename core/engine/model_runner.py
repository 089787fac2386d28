"""The tensors of a step: packed tokens in, next-token logits out. Knows neither requests nor sampling nor text.

Three runners share one interface. FusedRunner computes the Llama family in few operators (fused_llama.py), and on a GPU
repeats recorded steps (decode_graphs.py). PackedRunner runs any other model's own code, all slots in one forward pass
over KvSlots. SingleRunner is for models that cannot: one slot, the model's own cache, one request after another.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import AttentionInterface, PreTrainedModel

from core.engine.decode_graphs import GraphedRunner, Recorder
from core.engine.fused_llama import FusedRunner, find_fuse_obstacle, fuse
from core.engine.kv_slots import ATTENTION_NAME, KvSlots, SlotTokens, pack_step, slot_attention
from core.engine.multi_lora import AdapterStack
from core.engine.packed_linear import pack_linears, unpack_linears
from core.engine.slot_keeper import SlotKeeper
from core.errors import EngineFailed

KNOWN_LAYER_TYPES = {"full_attention", "sliding_attention"}
# A slotted forward pass may differ from the model's own by rounding only: mean |difference| over the logits' spread.
MAX_MEAN_DEVIATION = 0.1
# A fused one in fp32 has no reason to; a term of the architecture that is missing shows.
MAX_FUSED_DEVIATION = {torch.float32: 0.001}
CHECK_TOKENS = 12
# What a model raises that is built otherwise than it was taken to be.
UNFIT = (ValueError, TypeError, RuntimeError, AttributeError, IndexError, KeyError)

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

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Give a slot the first tokens of another; only where `can_resume`."""

    def clear(self, slot: int) -> None:
        """Forget what a slot holds."""

    def reset(self) -> None:
        """Forget what every slot holds and give its memory back."""

    def give_back(self) -> None:
        """Return the model as it was loaded; the runner and its stack are of no use any more."""


class PackedRunner(SlotKeeper):
    """All slots in one forward pass: tokens of decoding and prefilling slots side by side in one row."""

    def __init__(self, model: PreTrainedModel, stack: AdapterStack, *, slots: int, max_tokens: int) -> None:
        super().__init__(KvSlots(slots, max_tokens))
        AttentionInterface.register(ATTENTION_NAME, slot_attention)
        self._own_attention = model.config._attn_implementation
        model.set_attn_implementation(ATTENTION_NAME)
        self._model = model
        self._stack = stack

    @torch.inference_mode()
    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        step = pack_step(parts, self._model.device)
        self.kv.begin(step)
        self._stack.activate([(part.slot, part.count) for part, _ in parts], step.slots)
        output = self._model(
            input_ids=step.ids,
            position_ids=step.positions,
            use_cache=False,
            logits_to_keep=step.last_of(wanted),
            kv_slots=self.kv,
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def give_back(self) -> None:
        self.reset()
        self._stack.unwrap()
        unpack_linears(self._model)
        self._model.set_attn_implementation(self._own_attention)


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

    def copy(self, source: int, target: int, tokens: int) -> None:
        raise NotImplementedError("one slot has nothing to copy from")

    def clear(self, slot: int) -> None:
        self.reset()

    def reset(self) -> None:
        self._cache = None
        self._tokens = []

    def give_back(self) -> None:
        self.reset()
        self._stack.unwrap()


def make_runner(
    model: PreTrainedModel, stack: AdapterStack, *, slots: int, max_tokens: int, recorder: Recorder | None = None
) -> ModelRunner:
    """The fastest runner that gives the model's own logits: fused, packed or single; said once in the log.

    `recorder`: what records decode steps; without one all run eagerly.
    """
    own_attention = model.config._attn_implementation
    expected = _own_logits(model)
    if recorder is not None:
        stack.expect_recordings()
    if fused := _make_fused(model, stack, expected, slots=slots, max_tokens=max_tokens):
        return fused if recorder is None else _with_graphs(fused, recorder, expected, model)
    try:
        reason = _find_obstacle(model)
        if reason is None:
            pack_linears(model)
            packed = PackedRunner(model, stack, slots=slots, max_tokens=max_tokens)
            deviation = _deviation(expected, _slotted_logits(packed, _check_ids(model)))
            if deviation <= MAX_MEAN_DEVIATION:
                return packed
            reason = f"its logits differ by {deviation:.2f} of their spread"
    except torch.OutOfMemoryError as error:
        raise EngineFailed(
            f"{slots} slots of {max_tokens} tokens do not fit on the device beside the model; lower PERSONAS_SLOTS or"
            " PERSONAS_MAX_CONTEXT_TOKENS."
        ) from error
    except UNFIT as error:
        reason = f"{type(error).__name__}: {error}"
    logger.warning("%s cannot be served in slots (%s); replies are written one at a time.", _name(model), reason)
    model.set_attn_implementation(own_attention)
    unpack_linears(model)  # such a model may read its weights in ways of its own
    return SingleRunner(model, stack)


def _make_fused(
    model: PreTrainedModel, stack: AdapterStack, expected: torch.Tensor, *, slots: int, max_tokens: int
) -> FusedRunner | None:
    """A fused runner if the model is of a family that it knows and its logits are the `expected` ones."""
    runner: FusedRunner | None = None
    try:
        reason = find_fuse_obstacle(model)
        if reason is None:
            runner = fuse(model, stack, slots=slots, max_tokens=max_tokens)
            pack_linears(runner.linears)
            difference = _find_difference(runner, expected, model)
            if difference is None:
                logger.info("%s runs in fused layers; its logits are the model's own.", _name(model))
                return runner
            reason = f"fused, {difference}"
    except UNFIT as error:  # out of memory too, which transformers' own code may still have enough of
        reason = f"{type(error).__name__}: {error}"
    if runner is not None:
        runner.give_back()
    logger.info("%s keeps transformers' layers (%s).", _name(model), reason)
    return None


def _with_graphs(
    fused: FusedRunner, recorder: Recorder, expected: torch.Tensor, model: PreTrainedModel
) -> FusedRunner | GraphedRunner:
    """The runner with recorded decode steps, if these can be recorded and give the `expected` logits as well."""
    graphed = GraphedRunner(fused, recorder)
    try:
        reason = "the rotation of a token depends on how long the sequences are"
        if fused.has_fixed_rotations:
            difference = _find_difference(graphed, expected, model)
            if difference is None:
                return graphed
            reason = f"recorded, {difference}"
    except UNFIT as error:
        reason = f"{type(error).__name__}: {error}"
    graphed.forget()
    logger.warning("%s decodes without graphs (%s).", _name(model), reason)
    return fused


def _find_difference(runner: ModelRunner, expected: torch.Tensor, model: PreTrainedModel) -> str | None:
    """How far a fused runner's logits are from the `expected` ones; None where rounding explains it."""
    deviation = _deviation(expected, _slotted_logits(runner, _check_ids(model)))
    if deviation <= MAX_FUSED_DEVIATION.get(model.dtype, MAX_MEAN_DEVIATION):
        return None
    return f"its logits differ by {deviation:.4f} of their spread"


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


def _slotted_logits(runner: ModelRunner, ids: list[int]) -> torch.Tensor:
    """Last-token logits of the check prompt: prefilled in two parts beside another prompt, then decoded beside it."""
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
