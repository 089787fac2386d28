"""Makes one adapter of several: `personas blend`. Knows no store, no persona's rows, and never promotes.

The blend is computed by PEFT and kept in fp32: rounded to bf16 it would answer otherwise than its adapters together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from core.adapters.registry import RegisteredAdapter
from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.loading import LoadedBase, base_fingerprint
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from core.settings import Settings
from training.blend_recipe import BlendedAdapter, BlendRecipe
from training.library_noise import quiet_libraries
from training.lineage import build_lineage, git_commit
from training.run import Fitted, prove
from training.served_adapter import read_served

BLEND = "default"  # the name under which PEFT saves an adapter to a folder itself


@dataclass(frozen=True, slots=True)
class Share:
    """An adapter version and its weight in the blend."""

    adapter: RegisteredAdapter
    weight: float


def make_blend(
    persona: Persona,
    settings: Settings,
    shares: Sequence[Share],
    asked: BlendRecipe,
    folder: Path,
    *,
    data: dict[str, Any],
) -> bool:
    """Write the blend of these adapters for `persona` to `folder`, proven and with its lineage; whether it is exact.

    `data` is what the lineage says of the persona's rows. Raises InvalidInput for adapters that this method cannot
    blend, AdapterRejected for one that cannot be served, NotFound and InvalidSetting for the base model, and
    AdapterNotSaved.
    """
    commit = git_commit()
    base = load_configured_base(settings, quantization="none")
    adapters = [_blended(share, settings, base) for share in shares]
    recipe = asked.resolve(adapters)
    with quiet_libraries():
        model = _add_up(base, [share.adapter.folder for share in shares], adapters, recipe)
        lineage = build_lineage(
            persona,
            settings,
            base,
            recipe,
            method="blend",
            data=data,
            commit=commit,
            metrics={"is_exact": recipe.is_exact(adapters)},
            parents=[adapter.content_hash for adapter in adapters],
        )
        lineage["blend"] = [
            {"adapter": one.name, "content_hash": one.content_hash, "weight": one.weight} for one in adapters
        ]
        asks = compose(persona.system_prompt, [ChatMessage("user", "Who are you?")])
        prove(Fitted(base, model, ChatTemplate(base.tokenizer).encode(asks), lineage), folder, settings)
    return recipe.is_exact(adapters)


def _blended(share: Share, settings: Settings, base: LoadedBase) -> BlendedAdapter:
    adapter = share.adapter
    pairs = read_served(adapter.ref, adapter.folder, settings, base.model, base_fingerprint(base)).pairs.values()
    return BlendedAdapter(
        adapter.ref.name,
        adapter.ref.content_hash,
        share.weight,
        frozenset(pair.r for pair in pairs),
        min(min(pair.a.shape[1], pair.b.shape[0]) for pair in pairs),
    )


def _add_up(
    base: LoadedBase, folders: Sequence[Path], adapters: Sequence[BlendedAdapter], recipe: BlendRecipe
) -> PeftModel:
    """The base model with the blend alone. Raises InvalidInput for what PEFT refuses."""
    names = [f"part{number}" for number in range(len(folders))]
    model = PeftModel.from_pretrained(base.model, str(folders[0]), adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        model.load_adapter(str(folder), adapter_name=name)
    # PEFT gives the blend the first one's config, but has the scales in its weights already.
    model.peft_config[names[0]].use_rslora = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            model.add_weighted_adapter(
                adapters=names,
                weights=[adapter.weight for adapter in adapters],
                adapter_name=BLEND,
                combination_type=recipe.method,
                svd_rank=recipe.rank,
                svd_full_matrices=False,
                density=recipe.density,
                majority_sign_method=recipe.majority_sign,
            )
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"PEFT cannot blend these adapters with {recipe.method}: {error}") from error
    model.set_adapter(BLEND)
    for name in names:
        model.delete_adapter(name)
    model.requires_grad_(False)  # what can be trained would be saved in bf16
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data = parameter.data.contiguous()
    return model
