"""`personas serve` with an engine that stops for good: the process ends with a sentence, to be started again."""

from __future__ import annotations

import asyncio
import io

import pytest
from openai import APIError, AsyncOpenAI
from rich.console import Console

from bot.commands.listening import listen
from bot.commands.serve import Server
from bot.service import service
from core.engine.echo_engine import EchoEngine
from core.errors import EngineFailed
from tests.running.serving import echo_settings, until


async def test_a_server_whose_engine_stops_for_good_ends_with_an_error(tmp_path, monkeypatch, signals):
    engine = EchoEngine()
    engine.gate.close()
    monkeypatch.setattr(service, "_local_engine", lambda *_: engine)
    settings = echo_settings(tmp_path)
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = Server(settings, listener, Console(file=io.StringIO()))
        running = asyncio.create_task(server.run())
        await until(lambda: server._service is not None and server._service.model_problem is None)
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
            question = [{"role": "user", "content": "hello"}]
            asking = asyncio.create_task(client.chat.completions.create(model="zen", messages=question))
            await engine.gate.wait_until_held()
            engine.crash()
            with pytest.raises(APIError, match="crashed"):
                await asking
        with pytest.raises(EngineFailed, match="has stopped; see the log") as failed:
            await running
    assert failed.value.exit_code == 1
