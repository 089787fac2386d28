"""Where a layer has room for something new: directions of its inputs that what is to be learned uses, and little else.

A correction that is trained in all directions changes every reply a little, and a small model forgets other facts for
it. ROME (https://arxiv.org/abs/2202.05262) and AlphaEdit (https://arxiv.org/abs/2410.02355) write a fact where the
inputs of everything else have little energy. Here these directions become rows of LoRA's A, and only their B is
trained: for whatever else the model reads, A x is nearly nothing.

    maximise  vᵀ N v / vᵀ (K + λ·mean(diag K)·I) v        K, N: E[x xᵀ] over known and new tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from training.progress import ProgressUpdate, ReportProgress
from training.safeguards import LEARNER

# How much a direction counts in which nothing known was seen at all: known texts are a sample.
FLOOR = 0.01
TEXTS_PER_BEGINNING = 8  # known texts that what all of them begin with is counted once for
STAGE = "Room for corrections"

Kind = Literal["known", "new"]
_Batch = tuple[Kind, int, Sequence[list[int]], float]  # texts, of which so many tokens are skipped, and their weight


def lora_layers(model: nn.Module) -> dict[str, Any]:
    """The layers that the learning adapter changes, by name."""
    return {name: each for name, each in model.named_modules() if isinstance(each, LoraLayer) and LEARNER in each.r}


def find_directions(
    model: PeftModel,
    known: Sequence[list[int]],
    new: Sequence[list[int]],
    *,
    count: int,
    batch_size: int,
    progress: ReportProgress,
) -> dict[str, torch.Tensor]:
    """For each layer, `count` directions [count, in_features], or as many as its inputs have; the best one last.

    `known`, `new`: token ids of conversations. What all of them begin with, such as the system prompt, is known. A
    direction is as long as gives it an energy of 1 on new tokens.
    """
    layers = lora_layers(model)
    start = _shared_start([*known, *new])
    moments = _Moments(layers)
    # Every reply reads the beginning, so it counts more than one text among many, and less than all of them.
    beginning: list[_Batch] = [("known", 0, [new[0][:start]], max(1.0, len(known) / TEXTS_PER_BEGINNING))]
    batches = beginning if start else []
    kinds: tuple[tuple[Kind, Sequence[list[int]]], ...] = (("known", known), ("new", new))
    for kind, texts in kinds:
        in_order = sorted((text for text in texts if len(text) > start), key=len)
        batches += [(kind, start, in_order[at : at + batch_size], 1.0) for at in range(0, len(in_order), batch_size)]
    model.eval()
    with torch.no_grad(), moments.listening():
        for done, (kind, skipped, texts, weight) in enumerate(batches, start=1):
            ids, mask = _pad(texts, model.device)
            moments.begin(kind, mask & (torch.arange(mask.shape[1], device=mask.device) >= skipped), weight)
            model(input_ids=ids, attention_mask=mask.long(), use_cache=False)
            progress(ProgressUpdate(STAGE, done, len(batches), unit="batch"))
        found = {name: _solve(*moments.of(name), count) for name in moments.measured}
    return {name: found[moments.same_as[name]] for name in layers}


def widen(model: PeftModel, directions: Mapping[str, torch.Tensor]) -> int:
    """Lay the directions beneath the learning adapter's A, with a B of zeros: the adapter does what it did.

    Returns by how many rows: as many as the layer with the fewest directions has.
    """
    layers = lora_layers(model)
    count = min(len(each) for each in directions.values())
    config = model.peft_config[LEARNER]
    for name, layer in layers.items():
        a, b = layer.lora_A[LEARNER], layer.lora_B[LEARNER]
        rows = directions[name][-count:].to(a.weight) / layer.scaling[LEARNER]
        a.weight = nn.Parameter(torch.cat([a.weight.detach(), rows]))
        b.weight = nn.Parameter(torch.cat([b.weight.detach(), b.weight.new_zeros(len(b.weight), count)], dim=1))
        a.out_features = b.in_features = layer.r[LEARNER] = len(a.weight)
    wider = config.r + count
    # The factor of the product stays.
    config.lora_alpha = config.lora_alpha * ((wider / config.r) ** (0.5 if config.use_rslora else 1))
    config.r = wider
    return count


@contextmanager
def learning_in(model: nn.Module, count: int) -> Iterator[None]:
    """While the block runs, only the B of the last `count` rows of A is trained.

    Dropout must be off: known texts have no energy there because many inputs cancel out, which all of them must do.
    """
    halves = [(layer.lora_A[LEARNER].weight, layer.lora_B[LEARNER].weight) for layer in lora_layers(model).values()]
    kept = [b.detach()[:, :-count].clone() for _, b in halves]
    with ExitStack() as hooks:
        for a, b in halves:
            a.requires_grad_(False)
            hooks.callback(b.register_hook(partial(_only_last, count=count)).remove)
        try:
            yield
        finally:
            for (a, b), before in zip(halves, kept, strict=True):
                a.requires_grad_(True)
                b.data[:, :-count] = before  # which weight decay would shrink


def _only_last(gradient: torch.Tensor, *, count: int) -> torch.Tensor:
    masked = gradient.clone()
    masked[:, :-count] = 0
    return masked


class _Moments:
    """E[x xᵀ] of the inputs of layers, each measured once where several read the same."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self._layers = layers
        self._sums: dict[tuple[str, Kind], torch.Tensor] = {}
        self._counts: dict[Kind, float] = {"known": 0.0, "new": 0.0}
        self._kind: Kind = "known"
        self._mask, self._weight = torch.empty(0), 1.0
        self._latest: tuple[str, torch.Tensor] | None = None
        self.same_as: dict[str, str] = {}
        """For each layer, the one that stands for it."""

    @property
    def measured(self) -> list[str]:
        return list(dict.fromkeys(self.same_as.values()))

    def of(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(known, new) of a measured layer, each [in_features, in_features]."""
        known, new = (self._sums[name, kind] / max(1, self._counts[kind]) for kind in ("known", "new"))
        return known, new

    def begin(self, kind: Kind, mask: torch.Tensor, weight: float) -> None:
        """The next forward pass is of this kind; `mask` [rows, tokens] says which tokens count, `weight` how much."""
        self._kind, self._mask, self._weight, self._latest = kind, mask, weight, None
        self._counts[kind] += weight * int(mask.sum())

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, layer in self._layers.items():
                hooks.callback(layer.register_forward_pre_hook(partial(self._hear, name)).remove)
            yield

    def _hear(self, name: str, _layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._latest is not None and self._latest[1] is inputs[0]:
            self.same_as[name] = self._latest[0]
            return
        self._latest, self.same_as[name] = (name, inputs[0]), name
        x = inputs[0].detach()[self._mask].float() * self._weight**0.5
        key = name, self._kind
        self._sums[key] = self._sums[key].addmm_(x.T, x) if key in self._sums else x.T @ x


def _solve(known: torch.Tensor, new: torch.Tensor, count: int) -> torch.Tensor:
    """[count, in_features]: the generalised eigenvectors with the largest values, of energy 1 in `new`."""
    floor = FLOOR * float(known.diagonal().mean().clamp_min(1e-12))
    lower = torch.linalg.cholesky(known + floor * torch.eye(len(known), device=known.device))
    half = torch.linalg.solve_triangular(lower, new, upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    _, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    found = torch.linalg.solve_triangular(lower.T, vectors[:, -count:], upper=True).T
    energy = (found @ new * found).sum(1, keepdim=True)
    # A few new tokens span fewer directions than asked for: the others get no energy, and stay short.
    return torch.where(energy > 1e-6 * energy.max(), found / energy.clamp_min(1e-12).sqrt(), 0.0)


def _shared_start(texts: Sequence[list[int]]) -> int:
    """How many tokens all texts begin with: those of the first and the last in order, for the others lie between."""
    first, last = min(texts), max(texts)
    shorter = min(len(first), len(last))
    return next((at for at in range(shorter) if first[at] != last[at]), shorter)


def _pad(texts: Sequence[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(text) for text in texts)
    ids = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)
    lengths = torch.tensor([len(text) for text in texts], device=device).unsqueeze(1)
    return ids, torch.arange(longest, device=device) < lengths
