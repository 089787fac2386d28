"""Whatever is sent, the answer is a status and a sentence in OpenAI's shape."""

from __future__ import annotations

import json

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.service.service import Service
from bot.web.app import build_app
from core.engine.echo_engine import EchoEngine
from core.store import exchanges
from tests.running.serving import echo_server, echo_settings

# One server for the whole file: nothing here changes it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
TURN = {"role": "user", "content": "hi"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asgi(live_server):
    """The same app without a socket, so that an unexpected exception reaches the test."""
    transport = httpx.ASGITransport(build_app(live_server.service))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield http


def sentence_of(response: httpx.Response, status: int) -> str:
    """The error's message, once its shape has been checked."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    assert "Traceback" not in response.text
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{not json", "not valid JSON"),
        (b'{"model": "zen\xff"}', "not valid JSON in UTF-8"),
        (b'{"model": "zen", "messages": [{"role": "user", "content": "\\ud800"}]}', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[]", "object"),
        (b"null", "object"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(live_server, body, word):
    async with live_server.http() as http:
        assert word in sentence_of(await http.post(CHAT, content=body), 400)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "empty"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "NUL"),
        ({"messages": [TURN, {"role": "assistant", "content": "yes"}]}, "user"),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "a"}]}, "tools"),
        ({"messages": [{"role": "king", "content": "4"}]}, "role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text only"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content part"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"model": None}, "model"),
        ({"model": ""}, "persona or blend"),
        ({"model": "zen+zen"}, "twice"),
        ({"temperature": 9}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 10**30}, "max_completion_tokens"),
        ({"seed": 2**70}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a"] * 9}, "stop"),
        ({"n": 2}, "n"),
        ({"frequency_penalty": 2.5}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"user": "u" * 300}, "user"),
        ({"conversation": ""}, "conversation"),
    ],
)
async def test_a_bad_field_is_named_in_one_sentence(live_server, fields, word):
    body = {"model": "zen", "messages": [TURN]} | fields
    async with live_server.http() as http:
        assert word in sentence_of(await http.post(CHAT, json=body), 400)


async def test_a_number_that_json_does_not_know_is_refused(live_server):
    body = b'{"model": "zen", "messages": [{"role": "user", "content": "hi"}], "temperature": NaN}'
    async with live_server.http() as http:
        assert "temperature" in sentence_of(await http.post(CHAT, content=body), 400)


async def test_unknown_paths_and_methods_answer_in_the_same_shape(live_server):
    async with live_server.http() as http:
        assert "/v1/models" in sentence_of(await http.get("/v1/nothing"), 404)
        for path in ("/v1", "/v1/"):
            assert "/v1/models" in sentence_of(await http.get(path), 404)
            assert "/v1/models" in sentence_of(await http.post(path, json={}), 404)
        assert "GET" in sentence_of(await http.get(CHAT), 405)
        assert "DELETE" in sentence_of(await http.delete("/v1/models"), 405)


async def test_a_body_beyond_a_mebibyte_is_refused_with_or_without_its_length(live_server):
    big = json.dumps({"model": "zen", "messages": [{"role": "user", "content": "x" * 1024 * 1024}]}).encode()

    async def pieces():
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    async with live_server.http() as http:
        assert "1024 KiB" in sentence_of(await http.post(CHAT, content=big), 413)
        assert "1024 KiB" in sentence_of(await http.post(CHAT, content=pieces()), 413)


async def test_feedback_on_what_was_never_said_is_refused(live_server):
    async with live_server.http() as http:
        unknown = {"completion_id": "chatcmpl-none", "label": True}
        assert "chatcmpl-none" in sentence_of(await http.post("/v1/feedback", json=unknown), 404)
        assert "label" in sentence_of(await http.post("/v1/feedback", json={"completion_id": "a"}), 400)
        assert "label" in sentence_of(await http.post("/v1/feedback", json={"completion_id": "a", "label": 1}), 400)


async def test_a_mistake_of_ours_says_nothing_about_the_inside(tmp_path, monkeypatch):
    service = await Service.open(echo_settings(tmp_path), engine=EchoEngine())

    async def broken(*_args: object) -> bool:
        raise RuntimeError("secret/path")

    monkeypatch.setattr(exchanges, "record", broken)
    try:
        await service.start()
        transport = httpx.ASGITransport(build_app(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            response = await http.post(CHAT, json={"model": "zen", "messages": [TURN]})
            assert "secret" not in sentence_of(response, 500)
    finally:
        await service.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | JSON
PART = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]) | JSON}, optional={"text": JSON})
MESSAGE = st.fixed_dictionaries({"role": ROLES, "content": st.text() | st.lists(PART, max_size=3) | JSON})
REQUEST = st.fixed_dictionaries(
    {"model": st.sampled_from(["zen", "base", "zen:0.5+codebeard"]) | JSON, "messages": st.lists(MESSAGE) | JSON},
    optional={
        name: st.integers(-2, 2) | st.booleans() | st.floats() | JSON
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "max_completion_tokens",
            "seed",
            "n",
            "stop",
            "stream",
            "stream_options",
            "user",
            "repetition_penalty",
            "presence_penalty",
            "conversation",
        )
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=REQUEST | JSON, path=st.sampled_from([CHAT, CHAT, "/v1/feedback"]))
async def test_any_json_gets_a_reply_or_a_sentence(asgi, body, path):
    response = await asgi.post(path, content=json.dumps(body, allow_nan=True))
    assert response.status_code < 500
    assert response.status_code == 200 or sentence_of(response, response.status_code)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=64))
async def test_any_bytes_get_a_sentence(asgi, body):
    assert len(sentence_of(await asgi.post(CHAT, content=body), 400)) > 1
