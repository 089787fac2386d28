"""The adapter that learning from feedback begins with: one from the persona's rows, never one from feedback.

A chain of adapters, each learned from the votes on the last, drifts without a bound. So every round begins at the same
place, with all the feedback that there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn

from core.adapters.content_hash import CONFIG_FILE, WEIGHTS_FILE, adapter_content_hash
from core.adapters.lineage import read_lineage
from core.adapters.on_disk import finished_folders
from core.engine.adapter_files import AdapterReader
from core.engine.loading import LoadedBase, base_fingerprint
from core.engine.multi_lora import find_targets
from core.engine.quantization import avoid_packed_kernel
from core.errors import InvalidData, InvalidInput, NotFound
from core.generation import AdapterRef
from core.personas import Persona
from core.settings import Settings
from training.recipes import MAX_R
from training.safeguards import LEARNER, ReferenceNotAnchor, Weights, adapter_weights, check_trainable, difference

FROM_FEEDBACK = "feedback"


class NotAnAnchor(InvalidInput):
    """The adapter to begin with came from feedback itself."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An adapter folder and its content hash."""

    folder: Path
    content_hash: str


def find_anchor(persona: Persona, settings: Settings, folder: Path | None = None) -> Anchor:
    """The adapter in `folder`; without one, the last that was trained from rows here, else the one that is shipped.

    Raises NotFound where there is none, NotAnAnchor for one from feedback, AdapterRejected for a broken one.
    """
    if folder is not None:
        if _is_from_feedback(folder):
            raise NotAnAnchor(
                f"The adapter in {folder} was learned from feedback, and learning begins with one that was not; leave"
                " the anchor out, or name an adapter that `personas train` made."
            )
        return Anchor(folder, adapter_content_hash(folder))
    trained = finished_folders(settings.adapters_dir / persona.slug / settings.base_slug)
    shipped = persona.adapter_folder(settings.base_slug)
    for candidate in (*reversed(trained), shipped):
        if (candidate / CONFIG_FILE).is_file() and not _is_from_feedback(candidate):
            return Anchor(candidate, adapter_content_hash(candidate))
    raise NotFound(
        f"{persona.slug} has no adapter on {settings.base_slug} that feedback could change; train one first:"
        f" personas train {persona.slug}."
    )


def load_anchor(base: LoadedBase, anchor: Anchor, settings: Settings) -> PeftModel:
    """The base model with the anchor as its trainable adapter "default", in fp32.

    Raises AdapterRejected for an adapter of another base model or shape, NothingTrainable, ReferenceNotAnchor.
    """
    reader = AdapterReader(
        settings.adapter_roots, find_targets(base.model), max_rank=MAX_R, base_fingerprint=base_fingerprint(base)
    )
    reader.read(AdapterRef(anchor.folder.name, anchor.content_hash), anchor.folder)
    avoid_packed_kernel(base.model, for_training=True)
    # Without is_trainable nothing is trained, in silence; under another name TRL makes no reference of it.
    model = PeftModel.from_pretrained(base.model, str(anchor.folder), adapter_name=LEARNER, is_trainable=True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    check_trainable(model, base.name)
    kept = {name: tensor.to(torch.float32) for name, tensor in load_file(anchor.folder / WEIGHTS_FILE).items()}
    if difference(adapter_weights(model, LEARNER), kept) != 0:
        raise ReferenceNotAnchor(
            f"What was loaded is not the adapter in {anchor.folder}; this is a fault of the program, please report it."
        )
    return model


def set_weights(model: nn.Module, weights: Weights) -> None:
    """Give the trainable adapter these weights, and their dtype: TRL turns it to bf16 on a quantised base, where the
    small steps of preference learning would be rounded away."""
    part = f".{LEARNER}."
    for path, parameter in model.named_parameters():
        if part in path and "lora_" in path:
            parameter.data = weights[path.replace(part, ".")].to(parameter.device, copy=True)


def between(began: Weights, ended: Weights, share: float) -> Weights:
    """Where an adapter stands that keeps this share of what changed."""
    return {name: torch.lerp(began[name], ended[name], share) for name in ended}


def _is_from_feedback(folder: Path) -> bool:
    try:
        return read_lineage(folder).get("method") == FROM_FEEDBACK
    except InvalidData:
        return False  # its weights are judged when they are read
