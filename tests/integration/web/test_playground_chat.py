"""What the playground says of who answers, without a page around it."""

from __future__ import annotations

from bot.service import Service
from bot.web.metrics import Metrics
from bot.web.playground_chat import PlaygroundChats
from core.blends import parse_blend
from core.engine.echo_engine import EchoEngine
from tests.serving import echo_settings


async def test_the_advice_to_train_names_the_base_model_that_is_served(tmp_path):
    service = await Service.open(echo_settings(tmp_path, base_model="Qwen/Qwen3-4B"), engine=EchoEngine())
    try:
        metrics = Metrics(service.store, service.queue, service.engine)
        said = await PlaygroundChats(service, metrics).describe(parse_blend("zen"))
    finally:
        await service.stop()
    assert "(`personas train zen --base Qwen/Qwen3-4B` makes an adapter)" in said
