"""LoRA for a whole batch at once: the adapters of K rows are stacked, and every token carries a weight for each row.

    y = W0 x + Bᵀ((A x) ⊙ repeat(w, r))        A: [K·r, d_in], B: [K·r, d_out], w: [K]

One-hot w is a persona, zeros are the base model, anything between is a strength or a blend. Knows neither files nor
requests.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from transformers import PreTrainedModel

from core.engine.adapter_files import AdapterWeights
from core.engine.lora_block import JoinedLora, LoraBlock, StackPart
from core.engine.lora_linear import MultiLoraLinear, SharedA, linear_shape
from core.engine.lora_rows import LoraRows
from core.engine.lora_step import LoraStep, Segment
from core.engine.row_plan import mask_of, plan_rows

# Modules that read the same input.
SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
RANK_STEP = 8
# On a CPU, to begin the products of one more run of tokens takes as long as so many products of a token and a row.
DENSE_PER_RUN = 8


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
        self.moves = 0
        """How often matrices were laid elsewhere in memory; whoever recorded a pass over them records it anew."""
        self.changes = 0
        """How often something was written to a row or laid elsewhere; a program holds until the next time."""
        self._step = LoraStep()
        self._groups: dict[tuple[str, ...], SharedA] = {}
        self._layers: dict[str, MultiLoraLinear] = {}
        self._joined: dict[str, tuple[JoinedLora, int]] = {}
        self._blocks: set[JoinedLora] = set()  # of the joined layers that an adapter has targeted
        self._looks_up = self._device.type == "cpu"  # joined layers go by the plan of rows, not by segments
        self.uses: tuple[tuple[int, tuple[tuple[int, float], ...]], ...] = ()
        """Of the pass that `activate` has prepared: each part's tokens, and the rows it uses, how strongly."""
        self._weights = torch.zeros(slots, rows, dtype=dtype, device=self._device)
        self._slot_weights: list[dict[int, float]] = [{} for _ in range(slots)]

    def expect_recordings(self) -> None:
        """Before any `join`: passes over joined layers will be prepared by `activate_for_any`, too."""
        self._looks_up = False

    def join(self, columns: Mapping[str, torch.Tensor]) -> JoinedLora:
        """Hand layers that read one input over to a runner that computes them as one; before any adapter is loaded.

        `columns`: for each layer's name, where its outputs lie in the joined layer's.
        """
        in_features = self.targets[next(iter(columns))][0]
        kind = LoraRows if self._looks_up else LoraBlock
        block = kind(self._step, tuple(columns.values()), in_features, self._weights)
        self._joined |= {name: (block, member) for member, name in enumerate(columns)}
        return block

    def split(self) -> None:
        """Undo every `join`."""
        self._joined.clear()

    def unwrap(self) -> None:
        """Put the model's own layers back; this stack is of no use any more."""
        for name, layer in self._layers.items():
            self._model.set_submodule(name, layer.base)

    @torch.inference_mode()
    def load(self, row: int, adapter: AdapterWeights) -> None:
        """Write an adapter into a row that nobody uses, over whatever is there."""
        self.clear(row)
        if adapter.r > self._r:
            self._grow(-(-adapter.r // RANK_STEP) * RANK_STEP)
        for name, pair in adapter.pairs.items():
            if joined := self._joined.get(name):
                block, member = joined
                self._make_room(block)
                block.put(row, member, pair)
            else:
                (self._layers.get(name) or self._wrap(name)).put(row, pair)

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        """Take the adapter of a row out."""
        self.changes += 1
        for part in self._parts():
            if part.rows & 1 << row:
                part.clear(row)

    @torch.inference_mode()
    def assign(self, slot: int, weights: Mapping[int, float]) -> None:
        """Set the row weights of a slot: {row: weight}, {} for the base model."""
        self._slot_weights[slot] = dict(weights)
        self._weights[slot] = torch.tensor([weights.get(row, 0.0) for row in range(self.rows)]).to(self._weights)

    def activate(self, parts: Sequence[tuple[int, int]], token_slots: torch.Tensor) -> None:
        """Prepare the next forward pass over packed parts (slot, tokens). `token_slots`: [tokens], on the device."""
        self._step.rows = mask_of(row for slot, _ in parts for row in self._slot_weights[slot])
        self._step.is_for_any = False
        before, self.uses = self.uses, tuple((n, tuple(self._slot_weights[slot].items())) for slot, n in parts)
        has_plan = self._looks_up and bool(self._joined)
        if has_plan and self.uses != before:  # while the same replies are written, it is the same
            self._step.plan = plan_rows([(tokens, dict(weights)) for tokens, weights in self.uses])
        if self._layers or not has_plan:
            self._step.segments = tuple(self._segments(parts, token_slots))

    def _segments(self, parts: Sequence[tuple[int, int]], token_slots: torch.Tensor) -> Iterator[Segment]:
        """Decoding slots share one dense product, because what counts there is the number of products, as long as it is
        not mostly zeros. The many tokens of a prompt get one of their own over their own rows only, because there it
        is the arithmetic that counts.
        """
        begin = 0
        decoding = 0
        while decoding < len(parts) and parts[decoding][1] == 1:
            decoding += 1
        for group in (*self._decode_groups(parts[:decoding]), *((part,) for part in parts[decoding:])):
            end = begin + sum(tokens for _, tokens in group)
            if segment := self._make_segment([slot for slot, _ in group], begin, end, token_slots):
                yield segment
            begin = end

    def activate_for_any(self, token_slots: torch.Tensor, rows: int) -> None:
        """Prepare a forward pass over tokens of these slots [tokens] that is right whatever the slots' weights are.

        The weights and matrices of the first `rows` rows are read where they lie, and nothing else is looked at.
        """
        weights = self._weights[token_slots, :rows].unsqueeze(-1)
        used = (1 << rows) - 1
        self._step.segments = (Segment(0, len(token_slots), 0, rows, used, weights),) if rows else ()
        self._step.rows = used
        self._step.is_for_any = True

    def reach(self, slots: Iterable[int]) -> int:
        """How many rows there are up to the last that any of these slots uses."""
        return max((row + 1 for slot in slots for row in self._slot_weights[slot]), default=0)

    def _decode_groups(self, parts: Sequence[tuple[int, int]]) -> list[Sequence[tuple[int, int]]]:
        """All together, or neighbours with the same weights together where a product for all costs more than many."""
        used = {row for slot, _ in parts for row in self._slot_weights[slot]}
        if self._device.type != "cpu" or not used:
            return [parts]
        neighbours = itertools.groupby(parts, key=lambda part: self._slot_weights[part[0]])
        runs: list[Sequence[tuple[int, int]]] = [list(run) for _, run in neighbours]
        is_dense = len(parts) * (max(used) - min(used) + 1) <= DENSE_PER_RUN * len(runs)
        return [parts] if is_dense else runs

    def _make_segment(self, slots: list[int], begin: int, end: int, token_slots: torch.Tensor) -> Segment | None:
        used = {row for slot in slots for row in self._slot_weights[slot]}
        if not used:
            return None
        start, stop = min(used), max(used) + 1
        rows = mask_of(used)
        if stop - start == 1 and all(self._slot_weights[slot].get(start) == 1 for slot in slots):
            return Segment(begin, end, start, stop, rows, None)
        weights = self._weights[token_slots[begin:end], start:stop].unsqueeze(-1)
        return Segment(begin, end, start, stop, rows, weights)

    def _grow(self, r: int) -> None:
        self._r = r
        self.moves += 1
        for part in self._parts():
            part.resize(self.rows, r, self._weights)

    def _parts(self) -> list[StackPart]:
        return [*self._groups.values(), *self._layers.values(), *self._blocks]

    def _make_room(self, block: JoinedLora) -> None:
        if block not in self._blocks:
            block.resize(self.rows, self._r, self._weights)
            self.moves += 1
            self._blocks.add(block)

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


def find_targets(model: PreTrainedModel) -> dict[str, tuple[int, int]]:
    """Every linear layer below the output head: name -> (in_features, out_features)."""
    head = model.get_output_embeddings()
    shapes = {name: linear_shape(module) for name, module in model.named_modules() if module is not head}
    return {name: shape for name, shape in shapes.items() if shape != (0, 0)}
