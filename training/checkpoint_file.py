"""The one file that a stopped training goes on from. Whole or not there; knows no trainer.

Tensors lie in it as safetensors, everything else as JSON in its header: nothing of it is unpickled. It is written
beside its place, brought to the disk and renamed, so that neither a kill nor a power cut leaves half of one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.errors import InvalidData, PersonasError, StoreUnavailable

FILE, PARTIAL = "checkpoint.safetensors", "checkpoint.partial"
LOCK_FILE = ".lock"
HEADER = "training"
UNREADABLE = (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError)


class TrainingRuns(PersonasError):
    """The same training runs in another process."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training between two steps.

    `identity` says what is trained and how: it must be the same when the training goes on. `trainer_state` is
    transformers' own JSON; `tensors` are the adapter's weights, the optimiser's moments and the random states.
    """

    step: int
    identity: dict[str, Any]
    trainer_state: str
    scheduler: dict[str, Any]
    scaler: dict[str, Any] | None
    tokens: int
    seconds: float
    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class StageCheckpoint:
    """A training of several stages between two of them.

    `step` is how many stages are finished, `metrics` what each of them measured. `contrast` holds the replies that the
    model wrote before its training, so that they are written once. `tensors` are the adapter's weights.
    """

    step: int
    identity: dict[str, Any]
    metrics: list[dict[str, Any]]
    contrast: dict[str, list[str]]
    seconds: float
    tensors: dict[str, torch.Tensor]


Kept = TypeVar("Kept", bound=Checkpoint | StageCheckpoint)


class CheckpointFile(Generic[Kept]):
    """The place of a checkpoint, one of this `kind`: a folder for each persona and base model."""

    def __init__(self, folder: Path, kind: type[Kept]) -> None:
        self.folder = folder
        self._kind: type[Kept] = kind
        self.is_written = False
        self._path = folder / FILE

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings of the same persona and base model out while the block runs, and leave no empty folder.

        Raises TrainingRuns, and StoreUnavailable where nothing can be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK_FILE, blocking=False).acquire()
        except Timeout as error:
            raise TrainingRuns(
                f"Another process trains in {self.folder} already; wait for it, or stop it first."
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"Nothing can be written below {self.folder}: {error.strerror}; free some space or set"
                " PERSONAS_DATA_DIR to another folder."
            ) from error
        with lock:
            try:
                (self.folder / PARTIAL).unlink(missing_ok=True)  # of a process that was killed while it wrote
                yield
            finally:
                with suppress(OSError):  # Windows keeps what is open
                    (self.folder / LOCK_FILE).unlink()
                self._remove_empty_folders()

    def step(self) -> int | None:
        """The step of the checkpoint that lies here; None where there is none that can be read."""
        try:
            return int(self._header()["step"])
        except UNREADABLE:
            return None

    def read(self) -> Kept | None:
        """The checkpoint, on the CPU; None where there is none. Raises InvalidData when it is damaged."""
        if not self._path.exists():
            return None
        if not self._path.is_file():  # opening a pipe would wait for somebody to write
            raise InvalidData(f"{self._path} is no file; remove it, and train without --resume.")
        try:
            header = self._header()
            with safe_open(self._path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
            return self._kind(**header, tensors=tensors)
        except UNREADABLE as error:
            raise InvalidData(f"{self._path} is damaged ({error}); train without --resume.") from error

    def write(self, checkpoint: Kept) -> None:
        """Put a checkpoint in the place of the last one. Raises OSError or SafetensorError, and the last one stays."""
        header = {name: getattr(checkpoint, name) for name in self._kind.__dataclass_fields__ if name != "tensors"}
        size_bytes = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
        if shutil.disk_usage(self.folder).free < 2 * size_bytes:  # the adapter needs room, too
            raise OSError(f"less than {2 * size_bytes >> 20} MiB are free")
        partial = self.folder / PARTIAL
        try:
            save_file(checkpoint.tensors, partial, metadata={HEADER: json.dumps(header)})
            _sync(partial)
            partial.replace(self._path)
            self.is_written = True
            _sync(self.folder)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self) -> None:
        """The training has ended. Raises nothing: the next one would replace it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _remove_empty_folders(self) -> None:
        with suppress(OSError):  # as soon as one is not empty
            self.folder.rmdir()
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()

    def _header(self) -> dict[str, Any]:
        with safe_open(self._path, framework="pt") as file:
            header: dict[str, Any] = json.loads(file.metadata()[HEADER])
        return header


def differences(former: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """What changed between two identities, as phrases: "epochs was 3.0 and is 1.0". Nested ones are compared deeply."""
    found = []
    for name in sorted(former.keys() | present.keys()):
        was, now = former.get(name), present.get(name)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            found += differences(was, now)
        elif isinstance(was, str) and len(was) == 64:  # a sha256 tells nobody anything
            found.append(f"{name} changed")
        else:
            found.append(f"{name} was {was} and is {now}")
    return found


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk. Windows opens no folder, and needs none of it."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
