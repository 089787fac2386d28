"""The trainer that `personas serve` runs beside itself, as the process that it is."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import psutil
import pytest

from bot.commands.trainer_side import run_trainer
from bot.service.storage import open_storage
from core.generation import WeightedAdapter
from core.messages import ChatMessage
from core.settings import Settings, load_settings
from core.store import adapter_versions, feedback
from tests.examples.store import record_answered
from tests.integration.training.conftest import Trained
from tests.running.patience import TIMEOUT_S

PEOPLE = ("ann", "ben", "cid", "dee")
VOTES = 16


@pytest.fixture
def settings(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A pirate who ships an adapter, and asks for little feedback. The trainer reads the same from its environment."""
    personas = tmp_path / "personas"
    shutil.copytree(trained.settings.dir, personas)
    shutil.copytree(trained.adapter.folder, personas / "pirate" / "adapters" / trained.settings.base_slug)
    with (personas / "pirate" / "persona.toml").open("a", encoding="utf-8") as toml:
        toml.write(f"\n[feedback]\nmin_feedback = {VOTES}\ncool_down_s = 0\n")
    given = {"base_model": trained.settings.base_model, "dir": personas, "data_dir": tmp_path / "data", "device": "cpu"}
    for name, value in given.items():
        monkeypatch.setenv(f"PERSONAS_{name.upper()}", str(value))
    return load_settings(trainer=True)


async def let_people_judge(settings: Settings) -> set[str]:
    """Four thumbs of each; the exchanges."""
    asked = []
    async with open_storage(settings) as storage, storage.store.write() as session:
        champion = await storage.registry.champion(session, "pirate", settings.base_slug)
        assert champion is not None
        for number in range(VOTES):
            one = await record_answered(
                session,
                model="pirate",
                base_model=settings.base_slug,
                adapters=(WeightedAdapter(champion.ref, 1.0),),
                prompt=(ChatMessage("user", f"What is {number} times {number}?"),),
            )
            user = PEOPLE[number % len(PEOPLE)]
            await feedback.record(session, exchange_id=one, user_id=user, label=number % 8 < 4, source="api")
            asked.append(one)
    return set(asked)


async def challenger(settings: Settings) -> tuple[int | None, set[str]]:
    async with open_storage(settings) as storage, storage.store.read() as session:
        aliases = await adapter_versions.aliases(session, "pirate", settings.base_slug)
        return aliases.get("challenger"), await adapter_versions.examples(session, "pirate", settings.base_slug)


@pytest.mark.timeout(15 * TIMEOUT_S)  # at the lowest priority, a busy machine lets it wait
async def test_thumbs_train_a_version_by_themselves_at_the_lowest_priority_and_it_ends_with_the_server(
    settings: Settings,
):
    asked = await let_people_judge(settings)
    beside = asyncio.create_task(run_trainer(settings))
    try:
        async with asyncio.timeout(10 * TIMEOUT_S):
            # Whoever looks into the registry registers what lies there; what it learned from, its trainer says.
            while await challenger(settings) != (2, asked):
                assert not beside.done()
                await asyncio.sleep(1)
        [process] = [one for one in psutil.Process().children() if "trainer" in one.cmdline()]
        assert process.nice() == 19
    finally:
        beside.cancel()
        await asyncio.wait({beside})
    assert not process.is_running()
