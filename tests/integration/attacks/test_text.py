"""Text that is handed to a renderer, or comes back from one, stays the same text."""

from __future__ import annotations

import pytest

from core.engine.echo_engine import EchoEngine
from core.generation import EngineCapabilities
from tests.running.serving import LiveServer, echo_server

THINKING = "<think>They say hi.\nI say ahoy.</think>\n\nAhoy!"
THOUGHTS = "They say hi.\nI say ahoy."


@pytest.fixture
async def live_server(tmp_path):
    async with echo_server(tmp_path) as server:
        yield server


def asking(text):
    return {"model": "base", "messages": [{"role": "user", "content": text}]}


async def test_thoughts_stand_beside_the_reply_and_not_in_it(live_server: LiveServer):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking(THINKING))
    message = reply.choices[0].message
    assert (message.content, message.model_extra["reasoning_content"]) == ("Ahoy!", THOUGHTS)
    assert (await live_server.exchange(reply.id)).reply == "Ahoy!"


async def test_thoughts_are_streamed_beside_the_reply(live_server: LiveServer):
    async with live_server.client() as client:
        stream = await client.chat.completions.create(**asking(THINKING), stream=True)
        deltas = [chunk.choices[0].delta async for chunk in stream]
    assert "".join(delta.content or "" for delta in deltas) == "Ahoy!"
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == THOUGHTS


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_reply_without_thoughts_says_nothing_of_them(live_server: LiveServer, is_streamed):
    async with live_server.http() as http:
        answer = await http.post("/v1/chat/completions", json=asking("ahoy") | {"stream": is_streamed})
    assert "reasoning_content" not in answer.text


async def test_a_reply_that_is_cut_off_while_the_model_thinks_has_no_words(live_server: LiveServer):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking("<think>one two three four"), max_tokens=2)
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "length")


async def test_thoughts_that_the_chat_template_opens_are_hidden(tmp_path):
    engine = EchoEngine(capabilities=EngineCapabilities(begins_in_thought=True))
    async with echo_server(tmp_path, engine=engine) as server, server.client() as client:
        reply = await client.chat.completions.create(**asking("They say hi.</think> Ahoy!"))
    assert reply.choices[0].message.content == "Ahoy!"


async def test_a_reply_that_speaks_of_the_tag_keeps_it(live_server: LiveServer):
    words = "The tag `<think>` opens what a model thinks, and `</think>` ends it."
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking(words))
    assert reply.choices[0].message.content == words
