"""From the content hash in a job to the folder on this machine."""

from __future__ import annotations

import shutil

import pytest

from core.adapters.content_hash import adapter_content_hash
from core.adapters.folders import KnownFolders, RegisteredFolders
from core.errors import AdapterRejected
from core.generation import AdapterRef
from tests.examples.store import write_adapter


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data" / "adapters"


@pytest.fixture
def folders(store, registry):
    return RegisteredFolders(store, registry)


async def register(store, registry, folder, persona="zen"):
    return await registry.register(store, persona=persona, base_slug="smollm2", folder=folder, lineage={})


async def test_a_registered_adapter_is_found_by_its_content_whatever_it_is_called(store, registry, folders, data):
    registered = await register(store, registry, write_adapter(data / "zen" / "smollm2" / "1", b"one"))
    ref = AdapterRef("called otherwise@7", registered.ref.content_hash)
    assert await folders.find(ref) == registered.folder


async def test_of_two_registered_copies_the_one_that_is_there_is_found(store, registry, folders, data):
    first = write_adapter(data / "zen" / "smollm2" / "1", b"same")
    second = write_adapter(data / "noir" / "smollm2" / "1", b"same")
    ref = (await register(store, registry, first)).ref
    await register(store, registry, second, "noir")
    shutil.rmtree(first)
    assert await folders.find(ref) == second.resolve()


@pytest.mark.parametrize("content_hash", ["0" * 64, "../../outside", "/etc", ""])
async def test_what_no_version_holds_is_refused_with_one_sentence(store, registry, folders, data, content_hash):
    await register(store, registry, write_adapter(data / "zen" / "smollm2" / "1", b"one"))
    with pytest.raises(AdapterRejected, match=r"^No adapter on this machine has the content .* of zen@9; .*\.$"):
        await folders.find(AdapterRef("zen@9", content_hash))


async def test_a_folder_without_a_registry_is_found_by_its_content_and_nothing_else_is(tmp_path):
    folder = write_adapter(tmp_path / "new", b"one")
    known = KnownFolders([folder])
    assert await known.find(AdapterRef("new@1", adapter_content_hash(folder))) == folder
    with pytest.raises(AdapterRejected, match="No adapter on this machine"):
        await known.find(AdapterRef("new@1", "0" * 64))
