"""Stopping a real training in every way, and going on with it: the adapter is the one of a training without a stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.commands.stop_signals import stop_by_exception
from core.errors import InvalidData, NotFound
from core.personas import Persona
from core.settings import Settings
from tests.examples.training import PIRATE_WORDS, make_rows, make_workshop, write_rows
from tests.integration.training.conftest import FAST
from tests.running.command import assert_one_sentence, environment
from tests.running.warm_process import start_process
from training import resume_check
from training.checkpoint_file import FILE, Checkpoint, CheckpointFile, TrainingRuns
from training.progress import ProgressUpdate
from training.resume_check import CannotResume
from training.run import TrainedAdapter, TrainingStopped
from training.sft import train

Workshop = tuple[Persona, Settings]
# 32 rows in steps of 8: four steps an epoch.
STEPS, STEPS_IN_EPOCH = 10, 4
RECIPE = {**FAST, "accumulation": 2, "max_steps": STEPS}
OPTIONS = (
    *("--batch-size", "4", "--accumulation", "2", "--max-length", "512"),
    *("--max-steps", str(STEPS), "--learning-rate", "0.005", "--no-evaluation"),
)
KILLED_WHILE_IT_TRAINS = """
import os, signal, sys
from training import resumable_trainer
resumable_trainer.WRITE_EVERY_S = 0
write = resumable_trainer.CheckpointKeeper._write
def write_and_die(self):
    write(self)
    if self._trainer.state.global_step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
resumable_trainer.CheckpointKeeper._write = write_and_die
from bot.cli import main
sys.exit(main(sys.argv[1:]))
"""
KILLED_WHILE_IT_WRITES = """
import os, signal, sys
from training import checkpoint_file, resumable_trainer
resumable_trainer.WRITE_EVERY_S = 0
synced = []
def die_at_the_third(path):
    if path.name == checkpoint_file.PARTIAL:
        synced.append(path)
        if len(synced) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
checkpoint_file._sync = die_at_the_third
from bot.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainedAdapter:
    """The training that nothing stops."""
    persona, settings = make_workshop(tmp_path_factory.mktemp("whole"))
    return train(persona, settings, **RECIPE)


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[ProgressUpdate], None]:
    def stop(update: ProgressUpdate) -> None:
        if update.done == step:
            signal.raise_signal(number)

    return stop


def stopped(workshop: Workshop, step: int = 3, **changes: object) -> TrainingStopped:
    persona, settings = workshop
    with pytest.raises(TrainingStopped) as caught:
        train(persona, settings, progress=stop_at(step), **{**RECIPE, **changes})
    return caught.value


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def checkpoint_of(settings: Settings) -> str:
    return f"training/pirate/{settings.base_slug}/{FILE}"


def command(workshop: Workshop, *options: str, code: str | None = None) -> subprocess.Popen[str]:
    _, settings = workshop
    program = ["-m", "bot.cli"] if code is None else ["-c", code]
    line = [*program, "train", "pirate", "--base", settings.base_model, *options]
    where = environment(settings.data_dir, PERSONAS_DIR=str(settings.dir), PERSONAS_DEVICE="cpu")
    return start_process(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=where, cwd="/", text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        out, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


@pytest.mark.parametrize("step", [1, STEPS_IN_EPOCH, STEPS_IN_EPOCH + 2, STEPS - 1])
def test_a_training_that_was_stopped_ends_with_the_same_adapter(
    workshop: Workshop, whole: TrainedAdapter, step: int
) -> None:
    persona, settings = workshop
    stop = stopped(workshop, step)
    assert stop.step == step
    assert files(settings.data_dir) == [checkpoint_of(settings)]
    updates: list[ProgressUpdate] = []
    adapter = train(persona, settings, is_resumed=True, progress=updates.append, **RECIPE)
    assert [update.done for update in updates] == list(range(step, STEPS + 1))
    assert adapter.content_hash == whole.content_hash
    assert not (settings.data_dir / "training").exists()
    metrics, expected = adapter.lineage["metrics"], whole.lineage["metrics"]
    for name in ("steps", "first_loss", "last_loss", "mean_loss"):
        assert metrics[name] == expected[name]


def test_a_training_can_be_stopped_twice(workshop: Workshop, whole: TrainedAdapter) -> None:
    persona, settings = workshop
    stopped(workshop, 3)
    assert stopped(workshop, 6, is_resumed=True).step == 6
    assert train(persona, settings, is_resumed=True, **RECIPE).content_hash == whole.content_hash


def test_a_stop_before_the_first_step_leaves_nothing(workshop: Workshop) -> None:
    _, settings = workshop
    stop = stopped(workshop, 0)
    assert stop.step is None
    assert str(stop) == "The training of pirate was stopped; nothing was saved."
    assert files(settings.data_dir) == []
    assert list((settings.adapters_dir / "pirate" / settings.base_slug).iterdir()) == []


def test_a_signal_within_the_optimiser_leaves_the_last_whole_checkpoint(
    workshop: Workshop, whole: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.resumable_trainer import CheckpointKeeper

    persona, settings = workshop
    stopped(workshop, 3)
    begin = CheckpointKeeper.on_pre_optimizer_step

    def begin_and_stop(self: CheckpointKeeper, *given: object, **others: object) -> None:
        begin(self, *given, **others)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(CheckpointKeeper, "on_pre_optimizer_step", begin_and_stop)
    with pytest.raises(TrainingStopped) as caught:
        train(persona, settings, is_resumed=True, **RECIPE)
    assert caught.value.step == 3
    monkeypatch.undo()
    assert train(persona, settings, is_resumed=True, **RECIPE).content_hash == whole.content_hash


def test_sigterm_is_told_from_control_c(workshop: Workshop) -> None:
    persona, settings = workshop
    with stop_by_exception(), pytest.raises(TrainingStopped) as caught:
        train(persona, settings, progress=stop_at(2, signal.SIGTERM), **RECIPE)
    assert caught.value.exit_code == 143


def wait_for(process: subprocess.Popen[str], words: str) -> list[str]:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip())
        if words in line:
            return lines
    pytest.fail(f"{words} was never said, but {lines}")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_process_says_what_is_trained_how_long_it_takes_and_how_to_go_on_when_it_is_stopped(
    workshop: Workshop, number: int, status: int
) -> None:
    _, settings = workshop
    process = command(workshop, "--epochs", "1000", "--batch-size", "1", "--accumulation", "4", "--max-length", "512")
    try:
        lines = wait_for(process, "Training takes about")
        process.send_signal(number)
        done = ended(process)
    finally:
        process.kill()
    assert "Training: 8000 steps, 32 rows, 4 a step, on the CPU in float32." in lines
    options = "--epochs 1000.0 --batch-size 1 --accumulation 4 --max-length 512"
    advice = f"`personas train pirate {options} --base {settings.base_model} --resume` goes on from step "
    assert_one_sentence(done, f"The training of pirate was stopped; nothing was saved. {advice}", status=status)
    assert files(settings.data_dir) == ["personas.db", checkpoint_of(settings)]
    assert not [path for path in settings.data_dir.rglob("*") if path.name.startswith(".partial")]


def test_a_killed_training_goes_on_from_its_last_checkpoint(workshop: Workshop, whole: TrainedAdapter) -> None:
    _, settings = workshop
    killed = ended(command(workshop, *OPTIONS, code=KILLED_WHILE_IT_TRAINS.format(step=6)))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    versions = settings.adapters_dir / "pirate" / settings.base_slug
    assert [path.name.startswith(".partial-") for path in versions.iterdir()] == [True]
    resumed = ended(command(workshop, *OPTIONS, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert "Training: from step 6 on, 10 steps, 32 rows, 8 a step, on the CPU in float32." in resumed.stderr
    assert "Training: step 10 of 10, loss " in resumed.stderr
    assert [path.name for path in versions.iterdir()] == [whole.content_hash[:12]]
    assert not (settings.data_dir / "training").exists()


def test_a_checkpoint_that_is_half_written_is_never_used(workshop: Workshop, whole: TrainedAdapter) -> None:
    persona, settings = workshop
    killed = ended(command(workshop, *OPTIONS, code=KILLED_WHILE_IT_WRITES))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = (settings.data_dir / checkpoint_of(settings)).parent
    assert len([path for path in folder.iterdir() if path.name != ".lock"]) == 2
    assert CheckpointFile(folder, Checkpoint).step() == 2
    assert train(persona, settings, is_resumed=True, **RECIPE).content_hash == whole.content_hash
    assert not folder.exists()


def _change_the_rows(workshop: Workshop) -> None:
    write_rows(workshop[0].train_path, make_rows(PIRATE_WORDS, 33))


def _change_the_base_model(workshop: Workshop) -> None:
    weights = Path(workshop[1].base_model) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_change_the_rows, "the persona's rows or system prompt changed"),
        (_change_the_base_model, "the base model changed"),
    ],
)
def test_what_was_stopped_does_not_go_on_as_something_else(
    workshop: Workshop, change: Callable[[Workshop], None], said: str
) -> None:
    persona, settings = workshop
    stopped(workshop)
    change(workshop)
    with pytest.raises(CannotResume, match=f"stopped at step 3 cannot go on: {said}; change that back, or train"):
        train(persona, settings, is_resumed=True, **RECIPE)
    assert files(settings.data_dir) == [checkpoint_of(settings)]


def test_another_recipe_or_another_version_of_the_program_is_refused_by_name(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    persona, settings = workshop
    stopped(workshop)
    monkeypatch.setattr(resume_check, "RECIPE_VERSION", resume_check.RECIPE_VERSION + 1)
    with pytest.raises(CannotResume, match=r"on: r was 16 and is 8, the recipe's meaning was \d and is \d; change"):
        train(persona, settings, is_resumed=True, **{**RECIPE, "r": 8})


def test_there_may_be_nothing_to_go_on_with(workshop: Workshop) -> None:
    persona, settings = workshop
    with pytest.raises(NotFound, match="No training of pirate was stopped that --resume could go on with"):
        train(persona, settings, is_resumed=True, **RECIPE)
    assert files(settings.data_dir) == []
    assert not (settings.data_dir / "training").exists()


def test_a_damaged_checkpoint_is_one_sentence(workshop: Workshop) -> None:
    persona, settings = workshop
    stopped(workshop)
    path = settings.data_dir / checkpoint_of(settings)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InvalidData, match=r"is damaged .*; train without --resume"):
        train(persona, settings, is_resumed=True, **RECIPE)


def test_a_new_training_names_the_stopped_one_and_takes_its_place(
    workshop: Workshop, whole: TrainedAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = workshop
    stopped(workshop, seed=7)
    assert train(persona, settings, **RECIPE).content_hash == whole.content_hash
    assert "The training of pirate that was stopped at step 3 begins again" in caplog.text
    assert not (settings.data_dir / "training").exists()


def test_one_training_of_a_persona_runs_at_a_time(workshop: Workshop) -> None:
    persona, settings = workshop
    with (
        CheckpointFile((settings.data_dir / checkpoint_of(settings)).parent, Checkpoint).held(),
        pytest.raises(TrainingRuns, match="wait for it, or stop it first"),
    ):
        train(persona, settings, **RECIPE)
    assert not (settings.data_dir / "training").exists()


def test_a_disk_that_takes_no_checkpoint_ends_no_training(
    workshop: Workshop, whole: TrainedAdapter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = workshop
    monkeypatch.setattr("training.resumable_trainer.WRITE_EVERY_S", 0)
    usage = shutil.disk_usage(os.curdir)._replace(free=1 << 28)  # for the adapter, say

    def tell_of_a_full_disk(path: Path) -> object:
        return usage if path.name.startswith(".partial-") else usage._replace(free=1)

    monkeypatch.setattr(shutil, "disk_usage", tell_of_a_full_disk)
    assert train(persona, settings, **RECIPE).content_hash == whole.content_hash
    assert caplog.text.count("The training goes on, but could not be resumed from here") == 1
