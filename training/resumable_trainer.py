"""TRL's SFTTrainer that goes on from a Checkpoint, and the callback that writes one every minute.

transformers' own checkpoints are folders of pickles. Its way of going on is kept (`train(resume_from_checkpoint=…)`
counts steps and skips the batches that were trained); where it would unpickle a file, the hooks below take the same
things from a Checkpoint. On a CPU in fp32 a training that was stopped ends with the same weights, bit by bit.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from trl.trainer.sft_trainer import SFTTrainer

from training.checkpoint_file import Checkpoint, CheckpointFile
from training.shared_prefix import row_tokens

WRITE_EVERY_S = 60.0
WEIGHT, MOMENT, RANDOM = "weight:", "optimizer:", "random:"

logger = logging.getLogger(__name__)


class ResumableTrainer(SFTTrainer):
    """SFTTrainer whose `resume` takes a Checkpoint."""

    resumed: Checkpoint | None = None

    def resume(self, checkpoint: Checkpoint, folder: Path) -> Any:
        """Train on from a checkpoint; `folder` is a new one, for the JSON that transformers wants to read."""
        folder.mkdir(parents=True)
        (folder / TRAINER_STATE_NAME).write_text(checkpoint.trainer_state, encoding="utf-8")
        self.resumed = checkpoint
        return self.train(resume_from_checkpoint=str(folder))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss. It counts the ones of a mask as tokens, which a mask of who sees whom has more of."""
        before = self._total_train_tokens
        rows = row_tokens(inputs)  # TRL changes the inputs
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        self._total_train_tokens = before + rows
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    # transformers calls these; each reads a file of pickles there.

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        for name, parameter in trained_parameters(self.model).items():
            parameter.data.copy_(self._resumed_tensors()[WEIGHT + name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.resumed is None:
            return
        for name, parameter in trained_parameters(self.model).items():
            head = f"{MOMENT}{name}:"
            self.optimizer.state[parameter] = {
                key.removeprefix(head): tensor.to(_moment_device(key.removeprefix(head), parameter, self.optimizer))
                for key, tensor in self._resumed_tensors().items()
                if key.startswith(head)
            }
        self.lr_scheduler.load_state_dict(dict(self.resumed.scheduler))
        for group, rate in zip(self.optimizer.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate

    def _load_scaler(self, checkpoint: str | None) -> None:
        scaler = getattr(self.accelerator, "scaler", None)
        if self.resumed is not None and self.resumed.scaler is not None and scaler is not None:
            scaler.load_state_dict(self.resumed.scaler)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self.resumed is not None:
            _set_random_state(random_state_in(self._resumed_tensors(), "step"))

    def _resumed_tensors(self) -> dict[str, torch.Tensor]:
        if self.resumed is None:
            raise RuntimeError("resume() was not called; this trainer reads no folders")
        return self.resumed.tensors


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]  # transformers counts as untyped
    """Writes a checkpoint about every minute, and one more when the training is stopped.

    The order of an epoch's rows is drawn from torch's random state at its beginning, so that state is kept beside the
    present one: going on draws the same order again, skips what was trained, and takes up the present state.
    """

    def __init__(
        self,
        trainer: ResumableTrainer,
        file: CheckpointFile[Checkpoint],
        identity: dict[str, Any],
        *,
        resumed: Checkpoint | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainer = trainer
        self._file = file
        self._identity = identity
        self._resumed = resumed
        self._clock = clock
        self._began_s = self._written_s = clock()
        self._tokens = 0
        self._epoch_random: dict[str, torch.Tensor] = {}
        self._step_random: dict[str, torch.Tensor] = {}
        self._is_between_steps = False
        self._is_warned = False

    @property
    def seconds(self) -> float:
        """How long the training has taken, with what it took before it was stopped."""
        return self._clock() - self._began_s + (self._resumed.seconds if self._resumed else 0.0)

    @property
    def tokens(self) -> int:
        """Tokens trained, with those before it was stopped."""
        return self._tokens + (self._resumed.tokens if self._resumed else 0)

    def save_now(self) -> None:
        """Write what the last step left, unless the optimiser was just then at work: the last checkpoint is whole."""
        if self._is_between_steps:
            self._write()

    def discard(self) -> None:
        """What was trained leads nowhere."""
        self._file.remove()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._began_s = self._written_s = self._clock()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._resumed is not None and not self._epoch_random:
            _set_random_state(random_state_in(self._resumed.tensors, "epoch"))
        self._epoch_random = _random_state()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._is_between_steps = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._step_random = _random_state()
        self._is_between_steps = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._tokens = int((logs or {}).get("num_tokens", self._tokens))
        if self._clock() - self._written_s >= WRITE_EVERY_S:
            self._write()

    def _write(self) -> None:
        """A disk that is full ends no training: it goes on, and a warning says what cannot be had then."""
        state = self._trainer.state
        if not 0 < state.global_step < state.max_steps:  # there is nothing to go on from, or to
            return
        try:
            self._file.write(self._checkpoint())
        except (OSError, SafetensorError) as error:
            if not self._is_warned:
                logger.warning("The training goes on, but could not be resumed from here: %s", error)
            self._is_warned = True
        self._written_s = self._clock()

    def _checkpoint(self) -> Checkpoint:
        trainer, state = self._trainer, self._trainer.state
        path = Path(trainer.args.output_dir) / "state.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        state.save_to_json(str(path))
        is_epoch_over = float(state.epoch).is_integer()
        randoms = {"step": self._step_random, "epoch": self._step_random if is_epoch_over else self._epoch_random}
        tensors = {
            f"{RANDOM}{moment}:{device}": tensor for moment, one in randoms.items() for device, tensor in one.items()
        }
        for name, parameter in trained_parameters(trainer.model).items():
            tensors[WEIGHT + name] = parameter.detach()
            for key, tensor in trainer.optimizer.state[parameter].items():
                tensors[f"{MOMENT}{name}:{key}"] = tensor
        scaler = getattr(trainer.accelerator, "scaler", None)
        return Checkpoint(
            step=state.global_step,
            identity=self._identity,
            trainer_state=path.read_text(encoding="utf-8"),
            scheduler=json.loads(json.dumps(trainer.lr_scheduler.state_dict())),
            scaler=None if scaler is None else scaler.state_dict(),
            tokens=self.tokens,
            seconds=self.seconds,
            tensors={name: tensor.clone().contiguous() for name, tensor in tensors.items()},
        )


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The adapter's weights by their names."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def random_state_in(tensors: dict[str, torch.Tensor], moment: str) -> dict[str, torch.Tensor]:
    """The random states by device that were kept for a moment, "step" or "epoch"."""
    head = f"{RANDOM}{moment}:"
    return {name.removeprefix(head): tensor for name, tensor in tensors.items() if name.startswith(head)}


def _random_state() -> dict[str, torch.Tensor]:
    """torch's random states; nothing else draws in a training."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_state(states: dict[str, torch.Tensor]) -> None:
    setters = {"cpu": torch.set_rng_state, "cuda": torch.cuda.set_rng_state, "mps": torch.mps.set_rng_state}
    for device, state in states.items():
        setters[device](state)


def _moment_device(key: str, parameter: nn.Parameter, optimizer: Any) -> torch.device:
    """Adam counts its steps on the CPU, unless it is a fused or captured one."""
    is_on_device = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
    return torch.device("cpu") if key == "step" and not is_on_device else parameter.device
