"""Where a LoRA adapter attaches to a model, and PEFT's configuration for it. Knows no data and no trainer."""

from __future__ import annotations

import torch
from peft import LoraConfig
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from core.errors import InvalidSetting
from training.recipes import SFTRecipe

ATTENTION_PARENTS = frozenset({"self_attn", "attn", "attention", "self_attention", "cross_attn"})
VISION_PARTS = ("vision", "visual", "image", "audio")


def lora_config(recipe: SFTRecipe, model: PreTrainedModel) -> LoraConfig:
    """PEFT's configuration of this recipe for this model. Raises InvalidSetting when nothing can be targeted."""
    return LoraConfig(
        r=recipe.r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=target_modules(model, recipe.targets),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2 stores them transposed
        bias="none",
        task_type="CAUSAL_LM",
    )


def target_modules(model: nn.Module, targets: str) -> list[str]:
    """Names of the layers to adapt, as PEFT matches them: by the end of a module's full name.

    "attention" is every linear layer inside an attention block: q, k, v and o projections, or the fused one where a
    model has it (qkv_proj, Wqkv, c_attn). "all-linear" adds the feed-forward layers; the output head stays out,
    because TRL computes the loss from its weights directly. Vision and audio towers stay out too: a persona is text.
    """
    linear = [name for name, module in model.named_modules() if _is_adaptable(name, module)]
    head = _output_head(model)
    linear = [name for name in linear if name != head]
    chosen = [name for name in linear if targets == "all-linear" or _is_attention(name)]
    if not chosen:
        raise InvalidSetting(
            f"{type(model).__name__} has no {targets} layer that an adapter could attach to; choose another base model"
            " or other targets."
        )
    others = set(model_linear_names(model)) - set(chosen)
    return sorted({_shortest_ending(name, others) for name in chosen})


def interpolate(model: nn.Module, share: float) -> None:
    """Keep this share of what the adapter changes: each B is scaled, in place, so the adapter's form stays as it is."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(share)


def model_linear_names(model: nn.Module) -> list[str]:
    """Full names of all linear layers, those of vision towers and the output head included."""
    return [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D))]


def _is_adaptable(name: str, module: nn.Module) -> bool:
    # bitsandbytes' layers are subclasses of nn.Linear.
    return isinstance(module, (nn.Linear, Conv1D)) and not any(part in name for part in VISION_PARTS)


def _is_attention(name: str) -> bool:
    return bool(ATTENTION_PARENTS.intersection(name.split(".")[:-1]))


def _output_head(model: nn.Module) -> str | None:
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return next((name for name, module in model.named_modules() if module is head), None)


def _shortest_ending(name: str, others: set[str]) -> str:
    """The shortest ending of this name that no other layer shares: "q_proj", but "attn.c_proj" beside "mlp.c_proj"."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if not any(other == ending or other.endswith(f".{ending}") for other in others):
            return ending
    return name
