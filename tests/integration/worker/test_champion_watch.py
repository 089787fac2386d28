"""A moved alias reaches the engine before anybody asks for the new version."""

from __future__ import annotations

import asyncio

import pytest

from bot.service.service import Service
from core.engine.echo_engine import EchoEngine
from core.errors import AdapterRejected
from core.settings import Settings
from core.worker.champion_watch import ChampionWatch
from tests.examples.store import write_adapter
from tests.running.serving import write_personas


class Engine(EchoEngine):
    """Refuses the versions in `unusable`."""

    unusable: frozenset[str] = frozenset()

    def __init__(self):
        super().__init__()
        self.has_zen = asyncio.Event()

    async def load_adapter(self, ref, *, pin=False):
        if ref.name in self.unusable:
            raise AdapterRejected(f"{ref.name} has the wrong shape; train it again.")
        await super().load_adapter(ref, pin=pin)
        if ref.name == "zen@1":
            self.has_zen.set()


@pytest.fixture
async def service(tmp_path):
    write_personas(tmp_path / "personas")
    settings = Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")
    service = await Service.open(settings, engine=Engine())
    yield service
    await service.stop()


@pytest.fixture
def watch(service):
    return ChampionWatch(service.store, service.registry, service.engine, service.personas, service.settings.base_slug)


def loaded(service):
    return {status.ref.name for status in service.engine.adapters()}


async def promote_another(service, weights=b"another"):
    base_slug = service.settings.base_slug
    folder = write_adapter(service.settings.adapters_dir / "zen" / base_slug / weights.hex(), weights)
    store, registry = service.store, service.registry
    new = await registry.register(store, persona="zen", base_slug=base_slug, folder=folder, lineage={})
    await registry.promote(store, "zen", base_slug, new.version, force=True, by="test")


async def test_champions_are_loaded_before_their_first_reply_and_replaced_ones_unloaded(service, watch):
    await watch.look()
    await promote_another(service)
    await watch.look()
    assert "zen@2" in loaded(service) and "zen@1" not in loaded(service)
    await service.registry.rollback(service.store, "zen", service.settings.base_slug, by="test")
    await watch.look()
    assert "zen@1" in loaded(service) and "zen@2" not in loaded(service)


async def test_a_version_that_cannot_be_loaded_is_named_once_and_stops_nothing(service, watch, caplog):
    service.engine.unusable = frozenset({"zen@2"})
    await promote_another(service)
    await watch.look()
    await watch.look()
    assert [record.message for record in caplog.records if "wrong shape" in record.message] == [
        "zen@2 is not loaded ahead of its first reply: zen@2 has the wrong shape; train it again."
    ]
    await promote_another(service, b"third")
    await watch.look()
    assert "zen@3" in loaded(service)


async def test_a_started_service_keeps_looking(service):
    await service.start()
    await asyncio.wait_for(service.engine.has_zen.wait(), timeout=60)


async def test_a_stop_in_the_middle_of_a_look_leaves_the_database_to_others(service, watch):
    for quarter_ms in range(40):
        looking = asyncio.create_task(watch.run())
        await asyncio.sleep(quarter_ms / 4000)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        async with asyncio.timeout(2), service.store.write() as session:
            await service.registry.champion(session, "zen", service.settings.base_slug)
