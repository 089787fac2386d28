"""Named errors for every known way in which a training trains nothing, or the wrong thing, and looks healthy.

None of these crashes by itself: TRL reports falling losses and growing margins all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from core.engine.chat_template import ChatTemplate
from core.errors import PersonasError
from training.dataset_builder import Example
from training.label_check import PromptNotAsServed, shown

LEARNER, REFERENCE = "default", "ref"  # the names under which PEFT keeps the two, and TRL looks for them
MIN_RELATIVE_CHANGE = 1e-6  # of the adapter's norm; one step at a rate of 1e-8 stays below it

Weights = Mapping[str, torch.Tensor]


class NothingLearned(PersonasError):
    """The adapter is what it was before the training."""


class NothingTrainable(NothingLearned):
    """No weight of the model takes a gradient, as after PEFT has loaded an adapter for inference."""


class AdapterUnchanged(NothingLearned):
    """The adapter that was trained is the one that it began with, or too near to it to be kept in bf16."""


class ReferenceNotAnchor(PersonasError):
    """What a reply's likelihood is compared with is not the adapter that the stage began with."""


class ReferenceDrifted(PersonasError):
    """What a reply's likelihood is compared with was trained as well."""


class BatchOfOne(PersonasError):
    """A batch of KTO's holds one row, which it would compare with itself."""


def adapter_weights(model: nn.Module, name: str) -> dict[str, torch.Tensor]:
    """Copies of an adapter's weights on the CPU, named without the adapter's name."""
    part = f".{name}."
    return {
        path.replace(part, "."): parameter.detach().cpu().clone()
        for path, parameter in model.named_parameters()
        if part in path and "lora_" in path
    }


def check_trainable(model: nn.Module, base_name: str) -> None:
    """Raises NothingTrainable where no weight would move."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise NothingTrainable(
            f"The adapter on {base_name} has not one trainable weight, so the training would change nothing; this is a"
            " fault of the program, please report it."
        )


def check_reference(model: nn.Module, start: Weights) -> None:
    """Compare the reference with `start`, the adapter that the stage begins with. Raises ReferenceNotAnchor."""
    reference = adapter_weights(model, REFERENCE)
    if not start or reference.keys() != start.keys() or difference(reference, start) != 0:
        what = "the base model without any adapter" if not reference else "another adapter"
        raise ReferenceNotAnchor(
            f"The replies would be compared with {what} instead of the adapter that the training begins with; this is a"
            " fault of the program, please report it."
        )


def check_no_drift(model: nn.Module, start: Weights) -> float:
    """How far the reference went, which is 0. Raises ReferenceDrifted."""
    drift = difference(adapter_weights(model, REFERENCE), start)
    if drift != 0:
        raise ReferenceDrifted(
            f"The reference was trained along (it moved by {drift:.3g}), so what was learned was compared with itself;"
            " this is a fault of the program, please report it."
        )
    return drift


def check_changed(start: Weights, end: Weights, stage: str) -> float:
    """The change's norm, as a share of the adapter's own. Raises AdapterUnchanged, and NothingLearned for NaNs."""
    change, size = difference(end, start), _norm(start)
    if not math.isfinite(change):
        raise NothingLearned(f"{stage} broke the adapter (its weights are not finite); lower its learning rate.")
    share = change / size if size else change
    if share < MIN_RELATIVE_CHANGE:
        raise AdapterUnchanged(
            f"{stage} left the adapter as it was (it moved by {share:.1e} of its size); raise its learning rate, or"
            " train more rows."
        )
    return share


def check_batches(rows: int, batch_size: int, *, drops_last: bool) -> None:
    """Raises BatchOfOne where KTO would train on a batch of one row, or on no batch at all."""
    last = rows % batch_size
    if rows < 2 or (not drops_last and last == 1):
        raise BatchOfOne(
            f"{rows} judged {'reply' if rows == 1 else 'replies'} in batches of {batch_size} leave a batch of one,"
            " which KTO would compare with itself; wait for more feedback, or change batch_size."
        )


def check_prompts(rows: Sequence[Mapping[str, Any]], prompts: Sequence[Example], template: ChatTemplate) -> None:
    """Compare every prepared prompt with the one that is served, token by token. Raises PromptNotAsServed."""
    for row, example in zip(rows, prompts, strict=True):
        served = template.encode(example.prompt)
        trained = row["prompt_ids"] if "prompt_ids" in row else row["input_ids"][: len(served)]
        if list(trained) != served:
            raise PromptNotAsServed(
                f"The model would be trained on another prompt than it is served,"
                f" {shown(template.render(example.prompt))}: {len(trained)} tokens are not these {len(served)}."
            )


def difference(one: Weights, other: Weights) -> float:
    """The Euclidean norm of the difference of two adapters with the same names; infinite for others."""
    if one.keys() != other.keys():
        return math.inf
    return math.sqrt(sum(float((one[name].double() - other[name].double()).square().sum()) for name in one))


def _norm(weights: Weights) -> float:
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in weights.values()))
