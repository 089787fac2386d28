"""The real web app on a real socket, with the echo engine behind a real queue, worker and store.

Everything runs on the test's own event loop, so a test can hold a reply at the engine's gate and look around.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from sqlalchemy import select
from starlette.types import ASGIApp

from bot.service.service import Service
from bot.web.app import build_app
from bot.web.connections import ConnectionLimits
from bot.web.http_server import HttpServer
from core.engine.echo_engine import EchoEngine
from core.queue.jobs import JobStatus
from core.queue.protocol import JobQueue
from core.settings import Settings
from core.store.models import Exchange, Feedback
from tests.examples.store import write_adapter
from tests.running.databases import place_database
from tests.running.patience import TIMEOUT_S

USUAL_LIMITS = ConnectionLimits()
PERSONAS = {"codebeard": ("Captain Codebeard", "🏴"), "zen": ("Master Zen", "🧘")}


@dataclass
class LiveServer:
    """A running server; `url` has no slash at its end."""

    url: str
    service: Service
    app: FastAPI

    @property
    def echo(self) -> EchoEngine:
        assert isinstance(self.service.engine, EchoEngine)
        return self.service.engine

    def client(self, api_key: str = "unused") -> AsyncOpenAI:
        """The stock OpenAI client. It does not retry, so that an error is seen as it was sent."""
        transport = DefaultAsyncHttpxClient(verify=False)
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0, http_client=transport)

    def http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT_S, verify=False, **options)

    async def exchange(self, exchange_id: str) -> Exchange:
        async with self.service.store.read() as session:
            found = await session.get(Exchange, exchange_id)
        assert found is not None
        return found

    async def exchanges(self, **columns: str) -> list[Exchange]:
        """Every exchange whose columns have these values, the oldest first."""
        async with self.service.store.read() as session:
            query = select(Exchange).filter_by(**columns).order_by(Exchange.created_at)
            return list(await session.scalars(query))

    async def ended(self, **columns: str) -> Exchange:
        """The one exchange whose columns have these values, once it has ended."""
        while True:
            found = await self.exchanges(**columns)
            if found and JobStatus(found[0].status).is_final:
                return found[0]

    async def thumbs(self) -> list[Feedback]:
        async with self.service.store.read() as session:
            return list(await session.scalars(select(Feedback)))


async def until(condition: Callable[[], object]) -> None:
    """Let the server's tasks run until the condition holds."""
    while not condition():  # noqa: ASYNC110 - what is watched is a number of the server's, which sets no event
        await asyncio.sleep(0)


async def until_one_waits(queue: JobQueue) -> None:
    """Let the server's tasks run until a job waits in the queue."""
    while not await queue.depth():  # noqa: ASYNC110 - a queue sets no event
        await asyncio.sleep(0)


def write_persona(folder: Path, name: str, emoji: str) -> None:
    """A persona folder with an adapter for the default model that only the registry can read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "persona.toml").write_text(
        f'name = "{name}"\ndescription = "The voice of {name}."\nemoji = "{emoji}"\ngreeting = "Hello from {name}."\n',
        encoding="utf-8",
    )
    (folder / "system_prompt.md").write_text(f"You are {name}.", encoding="utf-8")
    write_adapter(folder / "adapters" / "smollm2", name.encode())


def write_personas(folder: Path) -> Path:
    """The two personas below this folder, which it returns."""
    for slug, (name, emoji) in PERSONAS.items():
        write_persona(folder / slug, name, emoji)
    return folder


def echo_settings(folder: Path, **settings: Any) -> Settings:
    """Settings for a server in this folder, with two personas; an earlier server's folder will do.

    `settings` are those of `core.settings.Settings`.
    """
    write_personas(folder / "personas")
    place_database(folder / "data" / "personas.db")
    return Settings(data_dir=folder / "data", dir=folder / "personas", **{"drain_timeout_s": 0, **settings})


@asynccontextmanager
async def serving(app: ASGIApp, limits: ConnectionLimits = USUAL_LIMITS) -> AsyncIterator[str]:
    """Serve an app on a free port of 127.0.0.1; its URL. Waits for nobody when it ends."""
    server = HttpServer(app, limits, linger_s=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=False) as client:  # it would read all certificates
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                assert (await client.get(f"{url}/healthz")).status_code == 200  # the listener queues it until then
            yield url
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def echo_server(
    folder: Path,
    *,
    engine: EchoEngine | None = None,
    is_started: bool = True,
    limits: ConnectionLimits = USUAL_LIMITS,
    **settings: Any,
) -> AsyncIterator[LiveServer]:
    """The whole server. One that is not started is as it is while its model loads."""
    service = await Service.open(echo_settings(folder, **settings), engine=engine or EchoEngine())
    try:
        if is_started:
            await service.start()
        app = build_app(service)
        async with serving(app, limits) as url:
            yield LiveServer(url, service, app)
    finally:
        await service.stop()


@pytest.fixture
async def live_server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    """A server on loopback without a key, its engine's gate open."""
    async with echo_server(tmp_path) as server:
        yield server
