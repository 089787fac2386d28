"""What an accident at the end of a training, or a disk that is too small for it, leaves of the adapter."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from core.adapters.content_hash import adapter_content_hash
from core.adapters.lineage import read_lineage
from core.errors import StoreUnavailable
from core.personas import Persona
from core.settings import Settings
from tests.integration.training.conftest import FAST
from training import adapter_folder
from training.progress import ProgressUpdate
from training.sft import train

Workshop = tuple[Persona, Settings]
MEASURED = {**FAST, "is_evaluated": True, "max_steps": 2}


def _stop() -> None:
    signal.raise_signal(signal.SIGINT)


def _run_out_of_memory() -> None:
    raise RuntimeError("CUDA out of memory")


@pytest.mark.parametrize(("accident", "said"), [(_stop, "stopped"), (_run_out_of_memory, "CUDA out of memory")])
def test_an_accident_while_it_is_measured_leaves_the_adapter_in_its_place(
    workshop: Workshop, caplog: pytest.LogCaptureFixture, accident: Callable[[], None], said: str
) -> None:
    persona, settings = workshop
    adapters = settings.adapters_dir / persona.slug / settings.base_slug

    def happen(update: ProgressUpdate) -> None:
        if update.stage == "Perplexity":
            accident()

    adapter = train(persona, settings, progress=happen, **MEASURED)
    assert [path.name for path in adapters.iterdir()] == [adapter.content_hash[:12]]
    assert "evaluation" not in adapter.lineage["metrics"]
    assert f"was not measured: {said}" in caplog.text
    again = train(persona, settings, **MEASURED)
    assert again.folder == adapter.folder
    assert again.lineage["metrics"].pop("evaluation")["held_out_rows"] == 8
    assert again.lineage == adapter.lineage
    assert json.loads((adapter.folder / "lineage.json").read_text())["metrics"]["evaluation"]
    assert len(list(adapters.iterdir())) == 1


def _truncate_the_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"half of it")


def _delete_the_lineage(folder: Path) -> None:
    (folder / "lineage.json").unlink()


def _empty_the_lineage(folder: Path) -> None:
    (folder / "lineage.json").write_text("{}")


@pytest.mark.parametrize("damage", [_truncate_the_weights, _delete_the_lineage, _empty_the_lineage])
def test_the_same_training_again_repairs_a_damaged_folder(workshop: Workshop, damage: Callable[[Path], None]) -> None:
    persona, settings = workshop
    first = train(persona, settings, **MEASURED)
    damage(first.folder)
    again = train(persona, settings, **MEASURED)
    assert again.folder == first.folder
    assert adapter_content_hash(again.folder) == first.content_hash
    measured, before = (lineage["metrics"]["evaluation"] for lineage in (read_lineage(again.folder), first.lineage))
    # Once in ten runs the AUC differs, and nothing else does; see docs/runs.md.
    for lineage in (measured, before):
        assert 0 <= lineage["adherence"].pop("auc") <= 1
    assert measured == before
    assert len(list(first.folder.parent.iterdir())) == 1


def test_a_disk_without_room_for_the_adapter_is_told_before_the_training(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    persona, settings = workshop
    usage = shutil.disk_usage(persona.folder)._replace(free=1 << 20)
    monkeypatch.setattr(adapter_folder.shutil, "disk_usage", lambda folder: usage)
    updates: list[ProgressUpdate] = []
    with pytest.raises(StoreUnavailable, match=r"needs 64 MiB .* 1 MiB are free; nothing was trained"):
        train(persona, settings, progress=updates.append, **FAST)
    assert updates == []
    assert list(Path(settings.adapters_dir).rglob("*.safetensors")) == []
