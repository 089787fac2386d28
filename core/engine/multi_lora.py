"""LoRA for a whole batch at once: the adapters of K rows are stacked, and every token carries a weight for each row.

    y = W0 x + Bᵀ((A x) ⊙ repeat(w, r))        A: [K·r, d_in], B: [K·r, d_out], w: [K]

One-hot w is a persona, zeros are the base model, anything between is a strength or a blend. Knows neither files nor
requests.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from core.engine.adapter_files import AdapterWeights

# Modules that read the same input share one product with A: their A rows lie side by side.
SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
RANK_STEP = 8


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring tokens [begin, end) of a step and the stack rows [start, stop) they use.

    `rows` is a bit mask of these rows. `weights` is [tokens, (stop - start)·r], None where all are 1.
    """

    begin: int
    end: int
    start: int
    stop: int
    rows: int
    weights: torch.Tensor | None

    def take(self, tokens: torch.Tensor) -> torch.Tensor:
        """This segment's part of a step's tokens [1, tokens, ...]."""
        is_all = self.end - self.begin == tokens.shape[1]
        return tokens if is_all else tokens[:, self.begin : self.end]


@dataclass
class LoraStep:
    """What the current forward pass uses. Tokens outside the segments use no adapter."""

    segments: tuple[Segment, ...] = ()
    rows: int = 0


class SharedA:
    """The A matrices of modules that read one input: `stacked` is [members, K, r, in_features]."""

    def __init__(self, step: LoraStep, members: int, in_features: int) -> None:
        self._step = step
        self._members = members
        self._in_features = in_features
        self._input: torch.Tensor | None = None
        self._hidden: list[Sequence[torch.Tensor]] = []
        self._views: dict[tuple[int, int], torch.Tensor] = {}
        self.stacked = torch.empty(members, 0, 0, in_features)
        self.rows = 0

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row, keeping what is there. `like` gives dtype and device."""
        grown = like.new_zeros(self._members, rows, r, self._in_features)
        grown[:, : self.stacked.shape[1], : self.stacked.shape[2]] = self.stacked
        self.stacked = grown
        self._views.clear()

    def row(self, row: int) -> torch.Tensor:
        """[members, r, in_features], a view."""
        return self.stacked[:, row]

    def shrink(self, x: torch.Tensor, member: int) -> list[torch.Tensor]:
        """(A x) ⊙ w for one member, per segment: [1, tokens, (stop - start)·r]. One product serves all members."""
        if self._input is not x:
            row = _in_one_row(x.contiguous()).to(self.stacked.dtype)
            self._hidden = [self._shrink_segment(row, segment) for segment in self._step.segments]
            # Holding on to the input makes `is` safe: its memory cannot become another tensor's meanwhile.
            self._input = x
        hidden = self._hidden
        if member == self._members - 1:
            self._input, self._hidden = None, []
        return [each[member] for each in hidden]

    def _shrink_segment(self, x: torch.Tensor, segment: Segment) -> Sequence[torch.Tensor]:
        """For every member a matrix that is ready for its B."""
        tokens = segment.take(x)
        if self._members == 1:
            hidden = torch.bmm(tokens, self._rows_of(segment))
            return (hidden if segment.weights is None else hidden.mul_(segment.weights),)
        hidden = torch.bmm(tokens.expand(self._members, -1, -1), self._rows_of(segment))
        return torch.split(hidden if segment.weights is None else hidden.mul_(segment.weights), 1)

    def _rows_of(self, segment: Segment) -> torch.Tensor:
        """[members, in_features, (stop - start)·r], a view; kept, because every step of a batch asks for the same."""
        key = segment.start, segment.stop
        if key not in self._views:
            self._views[key] = self.stacked[:, segment.start : segment.stop].flatten(1, 2).transpose(1, 2)
        return self._views[key]


class MultiLoraLinear(nn.Module):
    """A linear layer (of any kind, quantised too) followed by the stacked adapters' updates.

    `stacked` holds the B matrices, transposed and scaled: [K, r, out_features].
    """

    def __init__(self, base: nn.Module, shared: SharedA, member: int, step: LoraStep) -> None:
        super().__init__()
        self.base = base
        self.shared = shared
        self.member = member
        self._step = step
        self._out_features = linear_shape(base)[1]
        self._views: dict[tuple[int, int], torch.Tensor] = {}
        self.stacked = torch.empty(0, 0, self._out_features)
        self.rows = 0

    @property
    def weight(self) -> Any:
        """The base weight, because some models look at a layer's dtype."""
        return self.base.weight

    def resize(self, rows: int, r: int, like: torch.Tensor) -> None:
        """Make room for `r` per row, keeping what is there. `like` gives dtype and device."""
        grown = like.new_zeros(rows, r, self._out_features)
        grown[: self.stacked.shape[0], : self.stacked.shape[1]] = self.stacked
        self.stacked = grown
        self._views.clear()

    def row(self, row: int) -> torch.Tensor:
        """[r, out_features], a view."""
        return self.stacked[row]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        step = self._step
        if not self.rows & step.rows:
            return y
        row = _in_one_row(y)
        for segment, hidden in zip(step.segments, self.shared.shrink(x, self.member), strict=True):
            if self.rows & segment.rows:
                part, b = segment.take(row), self._rows_of(segment)
                if b.dtype == y.dtype:
                    part.baddbmm_(hidden, b)
                else:
                    part += hidden @ b
        return y

    def _rows_of(self, segment: Segment) -> torch.Tensor:
        """[1, (stop - start)·r, out_features], a view."""
        key = segment.start, segment.stop
        if key not in self._views:
            self._views[key] = self.stacked[segment.start : segment.stop].view(1, -1, self._out_features)
        return self._views[key]


class AdapterStack:
    """K rows for resident adapters on every linear layer of a model, and the row weights of every slot.

    A layer is wrapped when the first adapter that targets it is loaded, so an attention-only persona costs the rest
    of the model nothing.
    """

    def __init__(self, model: PreTrainedModel, *, rows: int, slots: int, dtype: torch.dtype) -> None:
        self.rows = rows
        self.targets = find_targets(model)
        self._model = model
        self._dtype = dtype
        self._device = model.device
        self._r = 0
        self._step = LoraStep()
        self._groups: dict[tuple[str, ...], SharedA] = {}
        self._layers: dict[str, MultiLoraLinear] = {}
        self._weights = torch.zeros(slots, rows, dtype=dtype, device=self._device)
        self._slot_weights: list[dict[int, float]] = [{} for _ in range(slots)]

    @torch.inference_mode()
    def load(self, row: int, adapter: AdapterWeights) -> None:
        """Write an adapter into a row that nobody uses, over whatever is there."""
        self.clear(row)
        if adapter.r > self._r:
            self._grow(-(-adapter.r // RANK_STEP) * RANK_STEP)
        for name, pair in adapter.pairs.items():
            layer = self._layers.get(name) or self._wrap(name)
            layer.shared.row(row)[layer.member, : pair.r] = pair.a.to(layer.shared.stacked)
            # The scale is folded in at full precision, before B is rounded to the model's dtype.
            layer.row(row)[: pair.r] = (pair.b.to(self._device, torch.float32) * pair.scale).T.to(self._dtype)
            layer.rows |= 1 << row
            layer.shared.rows |= 1 << row

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        """Take the adapter of a row out."""
        for part in self._parts():
            if part.rows & 1 << row:
                part.row(row).zero_()
                part.rows &= ~(1 << row)

    @torch.inference_mode()
    def assign(self, slot: int, weights: Mapping[int, float]) -> None:
        """Set the row weights of a slot: {row: weight}, {} for the base model."""
        self._slot_weights[slot] = dict(weights)
        self._weights[slot] = torch.tensor([weights.get(row, 0.0) for row in range(self.rows)]).to(self._weights)

    def activate(self, parts: Sequence[tuple[int, int]], token_slots: torch.Tensor) -> None:
        """Prepare the next forward pass over packed parts (slot, tokens). `token_slots`: [tokens], on the device.

        Decoding slots share one dense product, because what counts there is the number of products. The many tokens
        of a prompt get one of their own over their own rows only, because there it is the arithmetic that counts.
        """
        segments: list[Segment] = []
        begin = 0
        decoding = 0
        while decoding < len(parts) and parts[decoding][1] == 1:
            decoding += 1
        for group in (parts[:decoding], *((part,) for part in parts[decoding:])):
            end = begin + sum(tokens for _, tokens in group)
            if segment := self._make_segment([slot for slot, _ in group], begin, end, token_slots):
                segments.append(segment)
            begin = end
        self._step.segments = tuple(segments)
        self._step.rows = functools.reduce(operator.or_, (segment.rows for segment in segments), 0)

    def _make_segment(self, slots: list[int], begin: int, end: int, token_slots: torch.Tensor) -> Segment | None:
        used = {row for slot in slots for row in self._slot_weights[slot]}
        if not used:
            return None
        start, stop = min(used), max(used) + 1
        rows = sum(1 << row for row in used)
        if stop - start == 1 and all(self._slot_weights[slot].get(start) == 1 for slot in slots):
            return Segment(begin, end, start, stop, rows, None)
        weights = self._weights[token_slots[begin:end], start:stop].repeat_interleave(self._r, dim=1)
        return Segment(begin, end, start, stop, rows, weights)

    def _grow(self, r: int) -> None:
        self._r = r
        for part in self._parts():
            part.resize(self.rows, r, self._weights)

    def _parts(self) -> list[SharedA | MultiLoraLinear]:
        return [*self._groups.values(), *self._layers.values()]

    def _wrap(self, name: str) -> MultiLoraLinear:
        parent_name, _, child = name.rpartition(".")
        names = self._siblings(parent_name, child)
        if names not in self._groups:
            shared = SharedA(self._step, len(names), self.targets[name][0])
            shared.resize(self.rows, self._r, self._weights)
            self._groups[names] = shared
        parent = self._model.get_submodule(parent_name)
        layer = MultiLoraLinear(getattr(parent, child), self._groups[names], names.index(name), self._step)
        layer.resize(self.rows, self._r, self._weights)
        setattr(parent, child, layer)
        self._layers[name] = layer
        return layer

    def _siblings(self, parent: str, child: str) -> tuple[str, ...]:
        prefix = f"{parent}." if parent else ""
        for family in SHARED_INPUTS:
            names = tuple(prefix + member for member in family)
            if child in family and all(name in self.targets for name in names):
                return names
        return (prefix + child,)


def unwrap_layers(model: PreTrainedModel) -> None:
    """Put a model's own layers back where an AdapterStack, which is used no longer, wrapped them."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, MultiLoraLinear):
            model.set_submodule(name, layer.base)


def _in_one_row(x: torch.Tensor) -> torch.Tensor:
    """Tokens of any shape as [1, tokens, features], a view; which is how a step's tokens come."""
    return x if x.dim() == 3 and len(x) == 1 else x.view(1, -1, x.shape[-1])


def find_targets(model: PreTrainedModel) -> dict[str, tuple[int, int]]:
    """Every linear layer below the output head: name -> (in_features, out_features)."""
    head = model.get_output_embeddings()
    shapes = {name: linear_shape(module) for name, module in model.named_modules() if module is not head}
    return {name: shape for name, shape in shapes.items() if shape != (0, 0)}


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """(in_features, out_features) of a linear layer, (0, 0) for any other module."""
    if isinstance(module, Conv1D):
        return module.nx, module.nf
    if isinstance(module, nn.Linear):  # bitsandbytes' layers are subclasses
        return module.in_features, module.out_features
    return 0, 0
