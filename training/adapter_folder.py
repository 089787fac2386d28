"""Writes an adapter version to its folder: bf16 safetensors, config, lineage; whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from peft import PeftModel
from safetensors import SafetensorError

from core.adapters.content_hash import CONFIG_FILE, adapter_content_hash
from core.adapters.lineage import read_lineage
from core.errors import AdapterRejected, InvalidData, PersonasError, StoreUnavailable
from core.outside_files import read_json

PARTIAL_PREFIX = ".partial-"
LOCK_FILE = ".lock"  # in a partial folder, while it is in use
RELOADED = "reloaded"
TOLERANCE = 1e-4  # a share of the largest logit
BYTES_PER_WEIGHT = 2  # bf16
RESERVE_BYTES = 64 << 20  # for config, lineage and the ledger, and for whatever else writes meanwhile
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


class AdapterNotSaved(PersonasError):
    """What lies on disk is not the adapter in memory."""


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent` that is gone when the block ends, unless the block has moved it away.

    Made before the training, so that a folder nobody may write to is found at once. It is locked while it is in use:
    what processes that were killed have left behind goes. Raises StoreUnavailable when the
    disk is full or the folder may not be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(parent)
        folder = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=parent))
        lock = FileLock(folder / LOCK_FILE)
        lock.acquire(blocking=False)
    except OSError as error:
        raise StoreUnavailable(
            f"Nothing can be written below {parent}: {error.strerror}; free some space or set PERSONAS_DATA_DIR to"
            " another folder."
        ) from error
    try:
        yield folder
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in DISK_ERRORS:
            raise
        raise StoreUnavailable(
            f"The adapter could not be written below {parent} ({error}); free some space and train again."
        ) from error
    finally:
        lock.release()  # before: Windows removes no file that is open
        shutil.rmtree(folder, ignore_errors=True)


def check_free_space(folder: Path, weights: int) -> None:
    """Raises StoreUnavailable when an adapter of so many weights would not fit. Checkpoints see to their own room."""
    needed, free = BYTES_PER_WEIGHT * weights + RESERVE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise StoreUnavailable(
            f"The adapter needs {needed >> 20} MiB below {folder.parent}, where {free >> 20} MiB are free; nothing was"
            " trained: free some space or set PERSONAS_DATA_DIR to another folder."
        )


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """Save the adapter "default" to `folder`: its two files and nothing else. What was trained is saved in bf16.

    The weights in memory are rounded to bf16 too, so that whatever is measured afterwards is what was saved. The
    config names the base model by `base_name`, not by a path of this machine, and its lists are sorted: the same
    training gives the same bytes.
    """
    config = model.peft_config["default"]
    config.base_model_name_or_path = base_name
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    dtypes = [parameter.dtype for parameter in trained]
    _cast(trained, [torch.bfloat16] * len(trained))
    try:
        model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    finally:
        _cast(trained, dtypes)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    path = folder / CONFIG_FILE
    values = read_json(path)
    if isinstance(values["target_modules"], list):  # else it is a pattern
        values["target_modules"] = sorted(values["target_modules"])
    write_json(path, values)


def check_saved_adapter(model: PeftModel, folder: Path, input_ids: torch.Tensor) -> None:
    """Load the saved adapter beside the one in memory and compare their logits on `input_ids` [rows, tokens].

    Both compute in the same dtype: the same weights then give the same logits on every processor, however the base
    model rounds. Raises AdapterNotSaved when they differ by more than TOLERANCE.
    """
    model.eval()
    with torch.no_grad():
        expected = model(input_ids=input_ids).logits.float()
        model.load_adapter(str(folder), adapter_name=RELOADED)
        try:
            _cast_reloaded(model)
            model.set_adapter(RELOADED)
            found = model(input_ids=input_ids).logits.float()
        finally:
            model.set_adapter("default")
            model.delete_adapter(RELOADED)
    difference = (found - expected).abs().max().item()
    if not difference <= TOLERANCE * expected.abs().max().item():
        raise AdapterNotSaved(
            f"The adapter in {folder} answers differently from the trained one (logits differ by {difference:.3g});"
            " this is a fault of the program, please report it."
        )


def _cast_reloaded(model: PeftModel) -> None:
    """Give the reloaded weights the dtype of the trained ones: PEFT reads bf16 as fp32."""
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if f".{RELOADED}." in name:
            parameter.data = parameter.data.to(parameters[name.replace(f".{RELOADED}.", ".default.")].dtype)


def move_into_place(folder: Path, target: Path, *, is_replacing: bool) -> Path:
    """Rename a finished folder to `target`, in the place of what is there.

    Unless told to replace that too, the same adapter in good order stays as it is: it may have been measured since.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if not is_replacing and _is_whole(target, adapter_content_hash(folder)):
            return target
        with partial_folder(target.parent) as aside:
            target.rename(aside / target.name)
            folder.rename(target)
    else:
        folder.rename(target)
    return target


def _remove_left_behind(parent: Path) -> None:
    for folder in parent.glob(f"{PARTIAL_PREFIX}*"):
        with suppress(OSError):  # somebody works in it, or it is gone
            with FileLock(folder / LOCK_FILE, blocking=False):
                pass
            shutil.rmtree(folder, ignore_errors=True)


def _is_whole(folder: Path, content_hash: str) -> bool:
    """Whether a folder holds this adapter and its lineage, undamaged."""
    try:
        has_lineage = isinstance(read_lineage(folder).get("metrics"), dict)
        return has_lineage and adapter_content_hash(folder) == content_hash
    except (AdapterRejected, InvalidData):
        return False


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON in a fixed order."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _cast(parameters: list[torch.nn.Parameter], dtypes: list[torch.dtype]) -> None:
    for parameter, dtype in zip(parameters, dtypes, strict=True):
        parameter.data = parameter.data.to(dtype)
