"""What docs/architecture.md promises of replies, weights and feedback, on the whole service around the echo engine."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from bot.chat.platform import IncomingMessage
from bot.service.service import Service
from core.engine.echo_engine import EchoEngine
from core.errors import StoreUnavailable
from core.generation import GenerationRequest
from core.messages import ChatMessage, ReplyChunk
from core.settings import ROOT, Settings
from core.store import exchanges
from tests.examples.store import write_adapter
from tests.running.command import personas
from tests.running.serving import echo_server, write_personas


class WitnessEngine(EchoEngine):
    """Notes what the ledger said of each request at the moment the engine was asked for it."""

    def __init__(self, database) -> None:
        super().__init__(slots=4)
        self._database = database
        self.seen: list[tuple[str, str, str, int]] = []
        self.asked: list[GenerationRequest] = []

    def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        self.asked.append(request)
        query = "SELECT id, status, adapters, seed FROM exchanges WHERE id = ?"
        with closing(sqlite3.connect(self._database)) as ledger:
            self.seen += ledger.execute(query, (request.request_id,)).fetchall()
        return super().submit(request)


@pytest.fixture
def settings(tmp_path):
    write_personas(tmp_path / "personas")
    # The database's own 5 s of patience would only make these tests slow.
    url = f"sqlite:///{tmp_path / 'data' / 'personas.db'}?timeout=0.05"
    return Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas", database_url=url)


@pytest.fixture
def engine(tmp_path):
    return WitnessEngine(tmp_path / "data" / "personas.db")


@pytest.fixture
async def service(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    yield service
    engine.gate.open()
    await service.stop()


def message(text: str, number: int = 1, model: str = "zen") -> IncomingMessage:
    return IncomingMessage("api", f"e{number}", f"c{number}", "ann", (ChatMessage("user", text),), model=model)


async def text_of(reply) -> str:
    return "".join([chunk.text async for chunk in reply.chunks()])


async def adapters_of(service: Service, exchange_id: str) -> list[str]:
    async with service.store.write() as session:
        return [adapter["name"] for adapter in (await exchanges.find(session, exchange_id)).adapters]


async def test_the_engine_is_asked_only_for_what_stands_in_the_ledger_with_its_adapters_and_seed(service, engine):
    models = ("zen", "codebeard:0.7+zen:0.3", "zen:0.5", "base")
    replies = [await service.responder.open(message("hi", i, model)) for i, model in enumerate(models)]
    for reply in replies:
        await text_of(reply)
    assert [request.request_id for request in engine.asked] == [reply.exchange_id for reply in replies]
    for request, (exchange_id, status, adapters, seed) in zip(engine.asked, engine.seen, strict=True):
        assert (exchange_id, status, seed) == (request.request_id, "running", request.sampling.seed)
        for share in request.adapters:
            assert f'"{share.adapter.name}"' in adapters
            assert share.adapter.content_hash in adapters


async def test_without_a_ledger_row_nothing_is_queued_and_nothing_written(service, engine, tmp_path):
    with closing(sqlite3.connect(tmp_path / "data" / "personas.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"personas\.db is locked by another program"):
            await service.responder.open(message("hi"))
    assert await service.queue.depth() == 0
    assert engine.asked == []
    assert await text_of(await service.responder.open(message("hi"))) == "[zen@1] hi"


async def test_over_http_a_locked_database_is_a_503_in_one_sentence_and_all_is_well_afterwards(settings, tmp_path):
    body = {"model": "zen", "messages": [{"role": "user", "content": "hi"}]}
    async with echo_server(tmp_path / "served", database_url=settings.database_url) as server, server.http() as http:
        done = (await http.post("/v1/chat/completions", json=body)).json()["id"]
        thumb = {"completion_id": done, "label": True, "user": "ann"}
        with closing(sqlite3.connect(tmp_path / "data" / "personas.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            for path, json in (("/v1/chat/completions", body), ("/v1/feedback", thumb)):
                refused = await http.post(path, json=json)
                assert refused.status_code == 503
                assert "database cannot be used at the moment" in refused.json()["error"]["message"]
        assert (await http.post("/v1/feedback", json=thumb)).status_code == 200
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
        assert [thumb.label for thumb in await server.thumbs()] == [True]


async def test_a_promotion_by_another_process_takes_effect_for_new_replies_and_for_none_that_has_begun(
    service, engine, settings
):
    folder = write_adapter(settings.adapters_dir / "zen" / "smollm2" / "2", b"trained")
    await service.registry.register(service.store, persona="zen", base_slug="smollm2", folder=folder, lineage={})
    engine.gate.close()
    engine.gate.let_through(1)
    running = await service.responder.open(message("one two"))
    waiting = await service.responder.open(message("three", 2))
    await engine.gate.wait_until_held(2)
    promote = ("promote", "zen", "2", "--force")
    where = {"PERSONAS_DIR": str(settings.dir), "PERSONAS_DATABASE_URL": str(settings.database_url)}
    done = await asyncio.to_thread(personas, *promote, data_dir=settings.data_dir, **where)
    assert done.stdout == "zen@2 answers from the next reply on.\n", done.stderr
    later = await service.responder.open(message("four", 3))
    engine.gate.open()
    assert [await text_of(reply) for reply in (running, waiting, later)] == [
        "[zen@1] one two",
        "[zen@1] three",
        "[zen@2] four",
    ]
    named = [await adapters_of(service, reply.exchange_id) for reply in (running, waiting, later)]
    assert named == [["zen@1"], ["zen@1"], ["zen@2"]]


def names_in(package: str) -> set[str]:
    """Every name and attribute that the package's code uses, and every module that it imports."""
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {str(node.module), *(alias.name for alias in node.names)}
    return names


def called_in(package: str) -> set[str]:
    """Every function that the package's code calls by a name: "torch.load", whatever it was imported as."""
    called: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        meant: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Import):
                meant |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom):
                meant |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.Call):
                first, *more = ast.unparse(node.func).split(".")
                called.add(".".join([meant.get(first, first), *more]).removeprefix("builtins."))
    return called


@pytest.mark.parametrize("package", ["bot", "core", "training"])
def test_nothing_that_is_shipped_unpickles_or_runs_text_as_code(package):
    unsafe = {"pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "load_pickle"}
    assert not names_in(package) & unsafe
    assert not called_in(package) & {"torch.load", "eval", "exec", "compile"}


@pytest.mark.parametrize("package", ["bot", "core", "training"])
def test_code_of_a_model_repository_is_trusted_nowhere(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path
