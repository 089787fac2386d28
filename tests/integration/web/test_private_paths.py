"""What is told to clients names no folder of the server; its log does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from html import unescape

from bot.service.service import Service
from bot.web.app import build_app
from tests.examples.store import write_adapter
from tests.models.tiny_models import make_tiny_model
from tests.running.playground_page import open_page
from tests.running.serving import LiveServer, echo_server, echo_settings, serving

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}
STORE_IS_OUT = "The server's database cannot be used at the moment, its log says why; try again in a minute."
ADAPTER_IS_OUT = "The adapter of this persona cannot be used, the server's log says why; choose another persona."


async def told(server: LiveServer) -> list[str]:
    """What a client of the API and somebody at the page are told instead of a reply."""
    async with server.http() as http:
        page = await open_page(http)
        toasts, _, _ = await page.call("_send", "good morning", None, "zen", "")
        answers = [await http.post(CHAT, json=BODY), await http.post(CHAT, json=BODY | {"stream": True})]
    return [answer.json()["error"]["message"] for answer in answers] + [unescape(toast) for toast in toasts]


async def test_of_a_database_that_is_locked(tmp_path, caplog):
    path = tmp_path / "data" / "personas.db"
    async with echo_server(tmp_path, database_url=f"sqlite:///{path}?timeout=0.05") as server:
        with closing(sqlite3.connect(path, check_same_thread=False)) as database:
            await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")  # the server may be amid a transaction
            async with server.http() as http:
                assert (await http.get("/readyz")).status_code == 200  # reading waits for nobody's write
            sentences = await told(server)
    assert list(sentences) == [STORE_IS_OUT] * 3
    assert f"The database {path} is locked by another program" in caplog.text


async def test_of_an_adapter_whose_files_are_gone(tmp_path, caplog):
    model = make_tiny_model("llama", tmp_path / "model")
    settings = echo_settings(tmp_path, base_model=str(model), device="cpu")
    adapter = write_adapter(settings.dir / "zen" / "adapters" / settings.base_slug, b"weights")
    service = await Service.open(settings)
    try:
        (adapter / "adapter_model.safetensors").unlink()
        await service.start()
        app = build_app(service)
        async with serving(app) as url:
            sentences = await told(LiveServer(url, service, app))
    finally:
        await service.stop()
    assert sentences == [ADAPTER_IS_OUT] * 3
    assert f"cannot be read from {adapter}" in caplog.text
