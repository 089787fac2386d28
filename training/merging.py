"""Writes base model and adapter as one model, for programs that know no adapters: `personas merge`.

Weights are added up in fp32 on the base model as it was made, never on a quantised one: the sum would be quantised a
second time, and rounding would take most of what the adapter changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from core.adapters.registry import RegisteredAdapter
from core.engine.configured_base import load_configured_base
from core.engine.loading import DTYPES, base_fingerprint, read_config
from core.errors import AdapterRejected
from core.settings import Settings
from training.adapter_folder import write_json
from training.library_noise import quiet_libraries
from training.lineage import base_name
from training.new_output import check_room, new_output
from training.served_adapter import read_served

ORIGIN_FILE = "personas_merge.json"
RESERVE_BYTES = 64 << 20  # for tokenizer and configs


def merge_adapter(settings: Settings, version: RegisteredAdapter, out: Path, dtype: str = "auto") -> torch.dtype:
    """Write the merged model with its tokenizer and chat template to the new folder `out`; the dtype it is kept in.

    `dtype` "auto" is the base model's own. Raises InvalidInput where `out` is taken, AdapterRejected, NotFound and
    InvalidSetting for adapter and base model, and StoreUnavailable for the disk.
    """
    with new_output(out) as folder, quiet_libraries():
        in_fp32 = settings.model_copy(update={"dtype": "float32"})
        base = load_configured_base(in_fp32, quantization="none")
        kept = _kept_dtype(dtype, settings)
        check_room(folder.parent, base.model.num_parameters() * kept.itemsize + RESERVE_BYTES)
        read_served(version.ref, version.folder, settings, base.model, base_fingerprint(base))
        model = PeftModel.from_pretrained(base.model, str(version.folder))
        try:
            merged: Any = model.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise AdapterRejected(
                f"Adapter {version.ref.name} and the base model add up to numbers that are none; train it again."
            ) from error
        merged.to(kept)
        merged.config.name_or_path = ""
        merged.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        origin = {
            "adapter": version.ref.name,
            "content_hash": version.ref.content_hash,
            "base_model": base_name(settings.base_model),
            "base_model_fingerprint": base_fingerprint(base),
        }
        write_json(folder / ORIGIN_FILE, origin)
    return kept


def _kept_dtype(dtype: str, settings: Settings) -> torch.dtype:
    if dtype != "auto":
        return DTYPES[dtype]
    own = getattr(read_config(settings.base_model_path), "dtype", None)
    own = DTYPES.get(own) if isinstance(own, str) else own
    return own if isinstance(own, torch.dtype) else torch.float32
