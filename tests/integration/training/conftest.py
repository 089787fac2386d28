from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from core.personas import Persona
from core.settings import Settings
from tests.examples.training import make_workshop
from training.progress import ProgressUpdate
from training.run import TrainedAdapter
from training.sft import train

FAST = {"batch_size": 4, "accumulation": 1, "max_length": 512, "learning_rate": 5e-3, "is_evaluated": False}


@dataclass(frozen=True)
class Trained:
    """One real training of the pirate, which many tests look at and none changes."""

    persona: Persona
    settings: Settings
    adapter: TrainedAdapter
    updates: tuple[ProgressUpdate, ...]


@pytest.fixture(scope="session")  # other rooms' files may come between this one's
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    persona, settings = make_workshop(tmp_path_factory.mktemp("workshop"))
    updates: list[ProgressUpdate] = []
    adapter = train(
        persona,
        settings,
        progress=updates.append,
        max_steps=24,
        **{**FAST, "is_evaluated": True},
    )
    return Trained(persona, settings, adapter, tuple(updates))


@pytest.fixture
def workshop(tmp_path: Path) -> tuple[Persona, Settings]:
    return make_workshop(tmp_path)
