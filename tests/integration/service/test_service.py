"""The composition root, with the echo engine in place of a model."""

from __future__ import annotations

import asyncio

import pytest

from bot.chat.platform import IncomingMessage
from bot.discord_chat import names as discord_names
from bot.service.service import NOT_LOADED, NotReady, Service
from bot.service.sources import CHAT_SOURCES, SERVER_SOURCES
from bot.slack_chat import names as slack_names
from bot.terminal import chat as terminal_chat
from bot.web import openai_api, playground_chat
from core.engine.echo_engine import EchoEngine
from core.errors import EngineFailed, NotFound
from core.messages import ChatMessage
from core.queue.jobs import JobStatus
from core.settings import Settings
from core.store import exchanges
from tests.examples.queue import collect
from tests.examples.store import new_exchange
from tests.running.serving import write_persona, write_personas


@pytest.fixture
def settings(tmp_path):
    write_personas(tmp_path / "personas")
    return Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas", slots=1)


@pytest.fixture
def engine():
    return EchoEngine(slots=1)


def message(text: str, event_id: str = "1", conversation_id: str = "terminal:1") -> IncomingMessage:
    return IncomingMessage("terminal", event_id, conversation_id, "ann", (ChatMessage("user", text),), model="zen")


async def status_of(service: Service, exchange_id: str) -> tuple[str, str | None, str | None]:
    async with service.store.write() as session:
        found = await exchanges.find(session, exchange_id)
    assert found is not None
    return found.status, found.reply, found.error


async def read(reply) -> tuple[str, str | None]:
    """The whole text, and how it ended."""
    text, end = "", None
    async for chunk in reply.chunks():
        text, end = text + chunk.text, chunk.finish_reason
    return text, end


async def test_a_started_service_answers_with_the_shipped_adapter(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    reply = await service.responder.open(message("good morning"))
    assert await read(reply) == ("[zen@1] good morning", "stop")
    await service.stop()


async def test_while_the_model_loads_messages_wait_and_are_answered_and_after_the_stop_none_is_taken(settings, engine):
    service = await Service.open(settings, engine=engine)
    assert service.model_problem is not None
    assert "is loading" in service.model_problem
    reply = await service.responder.open(message("good morning"))
    assert (await status_of(service, reply.exchange_id))[0] == JobStatus.QUEUED
    await service.start()
    assert service.model_problem is None
    assert await read(reply) == ("[zen@1] good morning", "stop")
    await service.stop()
    with pytest.raises(NotReady, match="is stopping"):
        _ = service.responder


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (NotFound("The model folder /models/gone does not exist."), "The model folder /models/gone does not exist."),
        (ModuleNotFoundError("No module named 'torch'"), NOT_LOADED),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_one_clear_sentence_for_those_who_wait_and_all_who_come_later(
    settings, engine, monkeypatch, failure, problem
):
    async def fail():
        await loading.wait()
        raise failure

    loading = asyncio.Event()
    monkeypatch.setattr(engine, "start", fail)
    service = await Service.open(settings, engine=engine)
    starting = asyncio.create_task(service.start())
    waiting = [await service.responder.open(message("hi", str(number), f"terminal:{number}")) for number in range(3)]
    reading = asyncio.create_task(collect(waiting[0].chunks()))
    loading.set()
    with pytest.raises(type(failure)):
        await starting
    (last,) = await reading
    assert (last.error, last.error_status) == (NOT_LOADED, 503)
    for reply in waiting:
        assert (await status_of(service, reply.exchange_id)) == (JobStatus.FAILED, "", NOT_LOADED)
    with pytest.raises(NotReady, match=NOT_LOADED):
        _ = service.responder
    assert service.model_problem == problem
    await service.stop()


async def test_a_stop_while_the_model_loads_ends_at_once_and_says_so(settings, engine, monkeypatch):
    monkeypatch.setattr(engine, "start", asyncio.Event().wait)
    service = await Service.open(settings, engine=engine)
    starting = asyncio.create_task(service.start())
    reply = await service.responder.open(message("good morning"))
    await service.stop()
    with pytest.raises(NotReady, match="is stopping"):
        await starting
    assert await read(reply) == ("", "error")


async def test_the_longest_reply_of_the_settings_is_kept(settings, engine):
    service = await Service.open(settings.model_copy(update={"max_new_tokens": 2}), engine=engine)
    await service.start()
    reply = await service.responder.open(message("one two three"))
    assert await read(reply) == ("[zen@1] one ", "length")
    await service.stop()


async def test_a_stop_lets_a_running_reply_finish(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    engine.gate.close()
    reply = await service.responder.open(message("good morning"))
    reading = asyncio.create_task(read(reply))
    await engine.gate.wait_until_held()
    stopping = asyncio.create_task(service.stop())
    engine.gate.open()
    assert await reading == ("[zen@1] good morning", "stop")
    await stopping


async def test_what_still_waits_at_a_stop_is_settled_and_its_reader_told(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    engine.gate.close()
    running = await service.responder.open(message("first"))
    waiting = await service.responder.open(message("second", "2", "terminal:2"))
    readers = [asyncio.create_task(read(reply)) for reply in (running, waiting)]
    await engine.gate.wait_until_held()
    stopping = asyncio.create_task(service.stop())
    engine.gate.open()
    assert await readers[0] == ("[zen@1] first", "stop")
    assert await readers[1] == ("", "error")
    await stopping
    reopened = await Service.open(settings, engine=engine)
    status, _, error = await status_of(reopened, waiting.exchange_id)
    assert (status, error) == (
        JobStatus.FAILED,
        "The service was stopped before this reply was finished; send the message again.",
    )
    await reopened.stop()


async def test_a_hurried_stop_waits_for_nobody(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    engine.gate.close()
    reply = await service.responder.open(message("good morning"))
    reading = asyncio.create_task(read(reply))
    await engine.gate.wait_until_held()
    stopping = asyncio.create_task(service.stop())
    service.hurry()
    await stopping  # the gate is still closed
    assert await reading == ("", "error")


async def leave_unfinished(service: Service, source: str = "api") -> str:
    new = new_exchange(source=source)
    async with service.store.write() as session:
        await exchanges.record(session, new)
    return new.id


async def test_what_a_crash_left_unfinished_is_settled_at_the_next_start(settings, engine):
    crashed = await Service.open(settings, engine=engine)
    exchange_id = await leave_unfinished(crashed)
    await crashed._resources.aclose()  # the system closes a dead process's files, and nothing else happens
    service = await Service.open(settings, engine=engine)
    status, _, error = await status_of(service, exchange_id)
    assert (status, error) == (
        JobStatus.FAILED,
        "The program ended before this reply was finished; send the message again.",
    )
    await service.stop()


async def test_what_another_living_process_writes_is_left_alone(settings, engine):
    living = await Service.open(settings, engine=engine)
    exchange_id = await leave_unfinished(living)
    other = await Service.open(settings, engine=EchoEngine())
    await other.stop()
    assert (await status_of(living, exchange_id))[0] == JobStatus.QUEUED
    await living.stop()


async def test_what_a_killed_server_left_is_settled_while_a_chat_is_open(settings, engine):
    chat = await Service.open(settings, engine=EchoEngine(), sources=CHAT_SOURCES)
    in_chat = await leave_unfinished(chat, "terminal")
    crashed = await Service.open(settings, engine=engine, sources=SERVER_SOURCES)
    left = {source: await leave_unfinished(crashed, source) for source in SERVER_SOURCES}
    await crashed._resources.aclose()
    service = await Service.open(settings, engine=engine, sources=SERVER_SOURCES)
    for exchange_id in left.values():
        assert (await status_of(service, exchange_id))[0] == JobStatus.FAILED
    assert (await status_of(service, in_chat))[0] == JobStatus.QUEUED
    await chat._resources.aclose()
    await service.stop()
    again = await Service.open(settings, engine=engine, sources=SERVER_SOURCES)
    assert (await status_of(again, in_chat))[0] == JobStatus.FAILED
    await again.stop()


def test_every_front_ends_source_is_locked():
    chats = {discord_names.SOURCE, slack_names.SOURCE}
    assert set(SERVER_SOURCES) == {openai_api.SOURCE, playground_chat.SOURCE} | chats
    assert set(CHAT_SOURCES) == {terminal_chat.SOURCE}


async def test_waiting_for_a_service_whose_engine_stops_for_good_ends_with_a_sentence(settings, engine):
    service = await Service.open(settings, engine=engine)
    await service.start()
    waiting = asyncio.create_task(service.wait())
    engine.crash()
    with pytest.raises(EngineFailed, match="has stopped"):
        await waiting
    await service.stop()


async def test_the_default_persona_is_the_first_installed_where_nobody_chose_one(settings, tmp_path, engine):
    write_persona(tmp_path / "few" / "only", "Only", "🙂")
    few = Settings(data_dir=tmp_path / "data", dir=tmp_path / "few")
    service = await Service.open(few, engine=engine)
    assert service.default_persona == "only"
    await service.stop()
