"""What the playground says of who answers, without a page around it."""

from __future__ import annotations

import pytest

from bot.service.service import Service
from bot.web.metrics import Metrics
from bot.web.playground_chat import PlaygroundChats
from core.blends import parse_blend
from core.engine.echo_engine import EchoEngine
from tests.running.serving import echo_server, echo_settings


async def test_the_advice_to_train_names_the_base_model_that_is_served(tmp_path):
    service = await Service.open(echo_settings(tmp_path, base_model="Qwen/Qwen3-4B"), engine=EchoEngine())
    try:
        metrics = Metrics(service.store, service.queue, service.engine)
        said = await PlaygroundChats(service, metrics).describe(parse_blend("zen"))
    finally:
        await service.stop()
    assert "(`personas train zen --base Qwen/Qwen3-4B` makes an adapter)" in said


@pytest.mark.parametrize("chosen", ["ZEN", "zen"])
async def test_the_page_begins_with_the_default_persona_however_it_is_written(tmp_path, chosen):
    async with echo_server(tmp_path, default_persona=chosen) as server, server.http() as http:
        parts = {
            part["props"].get("elem_id"): part["props"] for part in (await http.get("/config")).json()["components"]
        }
    assert parts["picker"]["value"] == "zen"
    assert ["🧊 Base model", "base"] in parts["picker"]["choices"]
    assert "Master Zen" in parts["chat"]["placeholder"]
