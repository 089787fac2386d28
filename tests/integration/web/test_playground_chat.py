"""What the playground says of who answers, without a page around it."""

from __future__ import annotations

import pytest

from bot.service.service import Service
from bot.web.metrics import Metrics
from bot.web.pace import Pace
from bot.web.playground_chat import Conversation, PlaygroundChats
from bot.web.playground_view import shown
from core.blends import parse_blend
from core.engine.echo_engine import EchoEngine
from tests.running.serving import echo_server, echo_settings


async def test_a_persona_without_an_adapter_is_said_to_speak_through_its_prompt_and_no_command_is_named(tmp_path):
    service = await Service.open(echo_settings(tmp_path, base_model="Qwen/Qwen3-4B"), engine=EchoEngine())
    try:
        metrics = Metrics(service.store, service.queue, service.engine)
        said = await PlaygroundChats(service, metrics, Pace(None)).describe(parse_blend("zen"))
    finally:
        await service.stop()
    assert said == (
        "Answers: the system prompt of `zen` only, which has no adapter for this model yet"
        " on the base model `Qwen/Qwen3-4B`."
    )


@pytest.mark.parametrize("chosen", ["ZEN", "zen"])
async def test_the_page_begins_with_the_default_persona_however_it_is_written(tmp_path, chosen):
    async with echo_server(tmp_path, default_persona=chosen) as server, server.http() as http:
        parts = {
            part["props"].get("elem_id"): part["props"] for part in (await http.get("/config")).json()["components"]
        }
    assert parts["picker"]["value"] == "zen"
    assert ["🧊 Base model", "base"] in parts["picker"]["choices"]
    assert "Master Zen" in parts["chat"]["placeholder"]


async def test_older_messages_that_do_not_fit_are_told_of_under_the_reply(tmp_path):
    async with echo_server(tmp_path) as server:
        metrics = Metrics(server.service.store, server.service.queue, server.service.engine)
        chats, conversation = PlaygroundChats(server.service, metrics, Pace(None)), Conversation()
        for _ in range(4):
            async for _turns in chats.send("here", conversation, "word " * 60, "zen"):
                pass
    texts = [message["content"]["text"] for message in shown(conversation.turns)]
    assert "left out" not in texts[1]
    assert "Older messages were left out" in texts[-1]
    assert "left out" not in conversation.turns[-1].text
