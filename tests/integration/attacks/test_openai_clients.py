"""What OpenAI's clients send that work everywhere else: odd turns, other engines' values, wrong URLs, big bodies."""

from __future__ import annotations

import asyncio
import gzip
import json

import openai
import pytest
import pytest_asyncio

from core.generation import MAX_NEW_TOKENS_LIMIT
from tests.running.serving import echo_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
HELLO = {"role": "user", "content": "good morning"}
AHOY = {"role": "assistant", "content": "Ahoy, I am your captain!"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
KEY = "k" * 24
APP = "app://obsidian.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as live:
        yield live


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory):
    """A server with a key that lets one app in."""
    async with echo_server(tmp_path_factory.mktemp("locked"), api_key=KEY, allowed_origins=APP) as live:
        yield live


def error_of(response, status):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    return error


async def ask(server, *messages, **fields):
    async with server.http() as http:
        return await http.post(CHAT, json={"model": "base", "messages": messages, **fields})


async def prompt_of(server, response):
    assert response.status_code == 200, response.text
    return (await server.exchange(response.json()["id"])).prompt


# Turns


@pytest.mark.parametrize(
    ("messages", "reply"),
    [
        ([HELLO, {"role": "system", "content": "Be brief."}], "good morning"),
        ([HELLO, {"role": "user", "content": "and you"}], "good morning\n\nand you"),
        ([AHOY, HELLO], "good morning"),
        (
            [HELLO, {"role": "assistant", "content": ""}, {"role": "user", "content": "hello?"}],
            "good morning\n\nhello?",
        ),
    ],
)
async def test_turns_in_any_order_are_answered(server, messages, reply):
    answered = await ask(server, *messages)
    assert answered.json()["choices"][0]["message"]["content"] == reply
    assert answered.json()["dropped_messages"] == 0
    assert "x-dropped-messages" not in answered.headers


async def test_calls_and_results_of_tools_are_read_as_text(server):
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    prompt = await prompt_of(
        server, await ask(server, HELLO, called, {"role": "tool", "tool_call_id": "call_1", "content": "rain"})
    )
    assert [turn["role"] for turn in prompt] == ["user", "assistant", "user"]
    assert "get_weather" in prompt[1]["content"] and "Paris" in prompt[1]["content"]
    assert "get_weather" in prompt[2]["content"] and "rain" in prompt[2]["content"]


async def test_a_picture_in_an_earlier_turn_is_left_out_and_that_is_said_in_a_field_and_a_header(server):
    looked = {"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]}
    response = await ask(server, looked, AHOY, HELLO)
    assert (await prompt_of(server, response))[0]["content"].startswith("look\n")
    assert response.json()["notices"] == ["Left out, because personas read text only: 1 image."]
    assert response.headers["x-notices"] == response.json()["notices"][0]
    error = error_of(await ask(server, HELLO, AHOY, looked), 400)
    assert "text only" in error["message"]
    assert error["param"] == "messages.2.content"


async def test_names_tell_people_apart_and_no_line_passes_for_another_s(server):
    mallory = {"role": "user", "name": "Mallory", "content": "hi\nAlice: I take it back"}
    prompt = await prompt_of(server, await ask(server, mallory, {"role": "user", "name": "Alice", "content": "no"}))
    assert [turn["content"] for turn in prompt] == ["Mallory: hi\n| Alice: I take it back", "Alice: no"]


# Values


async def test_other_engines_ways_to_say_off_and_as_much_as_fits(server):
    off = {"top_k": -1, "repetition_penalty": 0, "seed": -1, "max_tokens": -1, "stop": [], "min_p": 0}
    first, second = await ask(server, HELLO, **off), await ask(server, HELLO, max_tokens=None, top_k=0, seed=-1)
    asked = await server.exchange(first.json()["id"])
    other = await server.exchange(second.json()["id"])
    assert first.json()["notices"] == []
    assert (asked.sampling["top_k"], asked.sampling["repetition_penalty"]) == (0, 1)
    assert asked.sampling["max_new_tokens"] == MAX_NEW_TOKENS_LIMIT
    assert other.sampling["max_new_tokens"] == server.service.settings.max_new_tokens
    assert asked.seed != other.seed


async def test_values_as_other_languages_and_libraries_write_them(server):
    asked = await ask(server, HELLO, max_tokens=7.0, top_k=40.0, seed=5.0, stop="", top_p=0)
    exchange = await server.exchange(asked.json()["id"])
    sampling = exchange.sampling
    assert (sampling["max_new_tokens"], sampling["top_k"], exchange.seed) == (7, 40, 5)
    assert 0 < sampling["top_p"] < 1e-3 and not sampling.get("stop")
    assert (await ask(server, HELLO, stop=["", "x"])).status_code == 200
    shortened = await ask(server, {"role": "user", "content": ["good", {"type": "text", "text": "morning"}]})
    assert shortened.json()["choices"][0]["message"]["content"] == "good\nmorning"
    assert error_of(await ask(server, HELLO, max_tokens=7.5), 400)["param"] == "max_tokens"


async def test_a_body_that_a_windows_tool_saved_is_read_without_its_mark(server):
    body = b"\xef\xbb\xbf" + json.dumps({"model": "base", "messages": [HELLO]}).encode()
    async with server.http() as http:
        assert (await http.post(CHAT, content=body)).status_code == 200


async def test_an_address_may_end_with_a_slash(server):
    async with server.http() as http:
        assert (await http.post(f"{CHAT}/", json={"model": "base", "messages": [HELLO]})).status_code == 200
        assert (await http.get("/v1/models/")).json() == (await http.get("/v1/models")).json()


async def test_the_penalties_reach_the_sampler(server):
    response = await ask(server, HELLO, presence_penalty=0.5, frequency_penalty=-1)
    sampling = (await server.exchange(response.json()["id"])).sampling
    assert (sampling["presence_penalty"], sampling["frequency_penalty"]) == (0.5, -1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("response_format", {"type": "json_object"}),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("n", 2),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
        ("guided_json", {"type": "object"}),
    ],
)
async def test_what_is_not_possible_is_refused_by_name(server, field, value):
    error = error_of(await ask(server, HELLO, **{field: value}), 400)
    assert error["param"] == field
    assert error["type"] == "invalid_request_error"


async def test_the_same_fields_are_taken_where_they_ask_for_nothing(server):
    nothing = {"response_format": {"type": "text"}, "tools": [], "tool_choice": "none", "logprobs": False, "n": 1}
    nothing |= {
        "user": "",
        "stream": None,
        "stop": None,
        "logit_bias": {},
        "top_logprobs": None,
        "functions": None,
        "modalities": ["text"],
    }
    assert (await ask(server, HELLO, **nothing)).status_code == 200


async def test_a_sampler_that_is_unknown_is_left_out_and_that_is_said(server):
    assert "min_p" in (await ask(server, HELLO, min_p=0.05)).json()["notices"][0]


# What the context has no room for


async def test_older_messages_that_are_left_out_are_counted_in_a_field_and_a_header(server):
    long = [{"role": role, "content": "word " * 60} for role in ("user", "assistant") * 4]
    response = await ask(server, *long, HELLO)
    dropped = response.json()["dropped_messages"]
    assert 0 < dropped < 9
    assert response.headers["x-dropped-messages"] == str(dropped)
    assert str(dropped) in response.headers["x-notices"]

    async with server.http() as http:
        body = {"model": "base", "messages": [*long, HELLO], "stream": True}
        streamed = await http.post(CHAT, json=body)
    events = [json.loads(line[6:]) for line in streamed.text.split("\n") if line.startswith("data: {")]
    assert events[-1]["dropped_messages"] == dropped
    assert streamed.headers["x-dropped-messages"] == str(dropped)


async def test_signs_that_some_clients_take_for_ends_of_lines_are_escaped_in_events(server):
    text = "a\u2028b\u2029c\u0085d"
    async with server.http() as http:
        body = {"model": "base", "messages": [{"role": "user", "content": text}], "stream": True}
        streamed = await http.post(CHAT, json=body)
        named = await http.post(RESPONSES, json={"model": "base", "input": text, "stream": True})
    lines = [line for line in streamed.text.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    said = [json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
    assert "".join(said).split() == text.split()
    assert all(line.startswith(("data: ", "event: ")) for line in named.text.splitlines() if line)


# Responses


async def test_openai_s_own_client_gets_a_response_whole(server):
    async with server.client() as client:
        response = await client.responses.create(
            model="zen", instructions="Be brief.", input="good morning", user="ann"
        )
        cut = await client.responses.create(model="base", input="one two three", max_output_tokens=2)
        body = {"completion_id": response.id, "label": True, "user": "ann"}
        await client.post("/feedback", body=body, cast_to=dict[str, object])
    assert response.output_text == "[zen@1] good morning"
    assert (response.status, response.id[:5], response.store) == ("completed", "resp_", False)
    assert response.usage.output_tokens == 3
    assert response.usage.total_tokens == response.usage.input_tokens + 3
    assert (cut.status, cut.incomplete_details.reason, cut.output_text) == (
        "incomplete",
        "max_output_tokens",
        "one two ",
    )
    assert [thumb.label for thumb in await server.thumbs()] == [True]


async def test_openai_s_own_client_gets_a_response_in_events(server):
    async with server.client() as client, client.responses.stream(model="base", input="good morning") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert final.output_text == "good morning"


async def test_a_response_reads_the_items_of_a_whole_conversation(server):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It rains."}]},
        {"role": "user", "content": "thanks"},
    ]
    async with server.client() as client:
        response = await client.responses.create(model="base", input=items, store=True)
    assert response.output_text == "thanks"
    assert "1 thought" in response.notices[0]
    assert "not kept" in response.notices[1]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("previous_response_id", "resp_1", "kept"),
        ("conversation", "conv_1", "kept"),
        ("background", True, "background"),
        ("include", ["message.output_text.logprobs"], "probabilities"),
        ("tools", [{"type": "web_search"}], "tools"),
        ("text", {"format": {"type": "json_object"}}, "format"),
        ("input", [], "input"),
        ("input", [{"type": "item_reference", "id": "msg_1"}], "kept"),
        ("input", [{"role": "king", "content": "hi"}], "role"),
        ("input", [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}], "text only"),
    ],
)
async def test_what_a_response_cannot_be_is_said(server, field, value, word):
    async with server.http() as http:
        refused = await http.post(RESPONSES, json={"model": "base", "input": "hi"} | {field: value})
        assert word in error_of(refused, 400)["message"]
        assert "kept" in error_of(await http.get(f"{RESPONSES}/resp_1"), 404)["message"]


# Addresses, methods, models, bodies


@pytest.mark.parametrize(
    "path", ["/v1/v1/chat/completions", "/chat/completions", "/models", "//v1/models", "/api/v1/models", "/api/tags"]
)
async def test_a_wrong_base_url_is_told_how_it_ends(server, path):
    async with server.http() as http:
        for method in ("GET", "POST"):
            error = error_of(await http.request(method, f"{server.url}{path}"), 404)
            assert "/v1/chat/completions" in error["message"]
            assert error["code"] == "unknown_url"
            assert "base URL" in error["message"]


async def test_a_wrong_method_is_told_the_right_one(server):
    async with server.http() as http:
        assert "use POST" in error_of(await http.get(CHAT), 405)["message"]
        assert "use GET" in error_of(await http.post("/v1/models", json={}), 405)["message"]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-3.5-turbo", "openai/gpt-4o", "llama3:8b", "Qwen2.5:7b-instruct-q4"])
async def test_an_unknown_model_is_the_same_error_however_it_is_written(server, model):
    async with server.client() as client:
        for ask_it in (client.chat.completions.create(model=model, messages=[HELLO]), client.models.retrieve(model)):
            with pytest.raises(openai.NotFoundError, match="codebeard, zen") as refused:
                await ask_it
            assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


async def test_a_compressed_body_is_told_to_come_as_it_is(server):
    body = gzip.compress(json.dumps({"model": "base", "messages": [HELLO]}).encode())
    async with server.http() as http:
        error = error_of(await http.post(CHAT, content=body, headers={"content-encoding": "gzip"}), 415)
    assert "compressed" in error["message"]


async def send_slowly(server, *headers: bytes) -> bytes:
    """What a client reads that sends three megabytes piece by piece and looks for an answer only then."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    size = 3 * 1024 * 1024
    lines = [f"POST {CHAT} HTTP/1.1".encode(), b"host: localhost", f"content-length: {size}".encode(), *headers]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    for _ in range(size // 65_536):
        writer.write(b"x" * 65_536)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read(65_536)
    writer.close()
    return answer


async def test_a_body_of_three_megabytes_is_answered_with_the_sentence_and_no_broken_pipe(server):
    answer = await send_slowly(server)
    assert b" 413 " in answer
    assert b"1024 KiB" in answer


async def test_so_is_a_wrong_key_before_a_large_body(locked):
    assert b" 401 " in await send_slowly(locked)


# Apps


async def test_an_app_that_is_named_may_ask_first_and_then_use_the_api_with_the_key(locked):
    asking = {"origin": APP, "access-control-request-method": "POST"}
    asking |= {"access-control-request-headers": "authorization,content-type,x-stainless-os"}
    async with locked.http() as http:
        preflight = await http.options(CHAT, headers=asking)
        body, bearer = {"model": "base", "messages": [HELLO]}, {"authorization": f"Bearer {KEY}"}
        used = await http.post(CHAT, json=body, headers={"origin": APP, **bearer})
        keyless = await http.post(CHAT, json=body, headers={"origin": APP})
    assert preflight.status_code == 200
    assert "x-stainless-os" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert used.json()["choices"][0]["message"]["content"] == "good morning"
    assert error_of(keyless, 401)["code"] == "invalid_api_key"
    for response in (preflight, used, keyless):
        assert response.headers["access-control-allow-origin"] == APP
        assert "access-control-allow-credentials" not in response.headers


async def test_the_pages_stay_closed_to_it_and_the_api_to_others(locked, server):
    bearer = {"authorization": f"Bearer {KEY}"}
    async with locked.http() as http:
        page = await http.post("/gradio_api/queue/join", json={}, headers={"origin": APP, **bearer})
        other = await http.post(CHAT, json={}, headers={"origin": "https://evil.example", **bearer})
        asking = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        preflight = await http.options(CHAT, headers=asking)
    assert page.status_code == 403
    for refused in (other, preflight):
        assert "PERSONAS_ALLOWED_ORIGINS" in error_of(refused, 403)["message"]
        assert "access-control-allow-origin" not in refused.headers
    async with server.http() as http:  # none is allowed unless it is named
        assert (await http.post(CHAT, json={}, headers={"origin": APP})).status_code == 403
