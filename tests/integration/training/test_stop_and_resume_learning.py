"""Killing a learning between its stages and within one, and going on: the adapter is that of one without a stop."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.personas import Persona, load_persona
from core.settings import Settings, load_settings
from tests.examples.feedback import corrected, feedback_set, judged, preferred
from tests.examples.training import make_workshop
from tests.integration.training.conftest import FAST
from tests.running.warm_process import start_process
from training.checkpoint_file import FILE, CheckpointFile, StageCheckpoint
from training.feedback_set import FeedbackSet
from training.learn import learn
from training.progress import ProgressUpdate
from training.resume_check import CannotResume
from training.run import TrainedAdapter, TrainingStopped
from training.sft import train

QUICK: dict[str, Any] = {"batch_size": 4, "max_length": 300, "sft_passes": 2, "contrast_max_tokens": 4}
ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.integration.training.test_stop_and_resume_learning import QUICK, everything, workshop_in
from training.learn import learn
persona, settings = workshop_in(Path(sys.argv[1]), Path(sys.argv[2]))
def die(update):
    if update.stage == sys.argv[3] and update.done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
learn(persona, settings, everything(persona, settings), progress=die, **QUICK)
"""


def everything(persona: Persona, settings: Settings) -> FeedbackSet:
    return feedback_set(persona, settings, judged=judged(8), preferred=preferred(4), corrected=corrected(2))


def workshop_in(root: Path, data: Path) -> tuple[Persona, Settings]:
    settings = load_settings(base_model=str(root / "tiny-model"), data_dir=data, dir=root / "personas", device="cpu")
    return load_persona(root / "personas" / "pirate"), settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workshop with a pirate that has an adapter. No test changes it; each has a data folder of its own."""
    root = tmp_path_factory.mktemp("learning")
    persona, settings = make_workshop(root)
    train(persona, settings, max_steps=4, **FAST)
    return root


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedAdapter:
    """The learning that nothing stops."""
    data = tmp_path_factory.mktemp("whole") / "data"
    shutil.copytree(root / "data", data)
    persona, settings = workshop_in(root, data)
    return learn(persona, settings, everything(persona, settings), **QUICK)


@pytest.fixture
def workshop(root: Path, tmp_path: Path) -> tuple[Persona, Settings]:
    shutil.copytree(root / "data", tmp_path / "data")
    return workshop_in(root, tmp_path / "data")


def _checkpoint(settings: Settings) -> CheckpointFile[StageCheckpoint]:
    return CheckpointFile(settings.data_dir / "learning" / "pirate" / settings.base_slug, StageCheckpoint)


@pytest.mark.parametrize(("stage", "step", "finished"), [("Preferences", 1, 1), ("Thumbs", 0, 2)])
def test_a_killed_learning_goes_on_with_the_stage_it_was_in(
    workshop: tuple[Persona, Settings], whole: TrainedAdapter, stage: str, step: int, finished: int
) -> None:
    persona, settings = workshop
    arguments = ["-c", KILLED, str(settings.dir.parent), str(settings.data_dir), stage, str(step)]
    with start_process(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as killed:
        _, errors = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, errors
    assert _checkpoint(settings).step() == finished
    stages: list[str] = []

    def note(update: ProgressUpdate) -> None:
        stages.append(update.stage)

    adapter = learn(persona, settings, everything(persona, settings), is_resumed=True, progress=note, **QUICK)
    assert adapter.content_hash == whole.content_hash
    assert [one["stage"] for one in adapter.lineage["metrics"]["stages"]] == ["sft", "dpo", "kto"]
    assert "Corrections" not in stages
    assert not any(name.startswith("Contrast") for name in stages)
    assert not (settings.data_dir / "learning").exists()


def test_a_stopped_learning_leaves_nothing_but_its_checkpoint_and_goes_on_only_as_it_was(
    workshop: tuple[Persona, Settings],
) -> None:
    persona, settings = workshop
    before = sorted(path for path in settings.adapters_dir.rglob("*"))

    def stop(update: ProgressUpdate) -> None:
        if (update.stage, update.done) == ("Preferences", 1):
            raise KeyboardInterrupt

    with pytest.raises(TrainingStopped) as stopped:
        learn(persona, settings, everything(persona, settings), progress=stop, **QUICK)
    assert stopped.value.step == 1
    assert sorted(path for path in settings.adapters_dir.rglob("*")) == before
    more = feedback_set(persona, settings, judged=judged(10), preferred=preferred(4), corrected=corrected(2))
    with pytest.raises(CannotResume, match="the feedback changed"):
        learn(persona, settings, more, is_resumed=True, **QUICK)
    with pytest.raises(CannotResume, match=r"kto_beta was 0\.1 and is 0\.3"):
        learn(persona, settings, everything(persona, settings), is_resumed=True, kto_beta=0.3, **QUICK)
    path = settings.data_dir / "learning" / "pirate" / settings.base_slug / FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CannotResume, match="is damaged"):
        learn(persona, settings, everything(persona, settings), is_resumed=True, **QUICK)


def test_resuming_where_nothing_was_kept_begins_at_the_start(
    workshop: tuple[Persona, Settings], whole: TrainedAdapter
) -> None:
    persona, settings = workshop
    adapter = learn(persona, settings, everything(persona, settings), is_resumed=True, **QUICK)
    assert adapter.content_hash == whole.content_hash
