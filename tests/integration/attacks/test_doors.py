"""Attacks on the doors: bodies, slow clients, floods. Each meets a real server, which must go on serving others."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from bot.web.connections import ConnectionLimits
from core.engine.echo_engine import EchoEngine
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_server, until

shared = pytest.mark.asyncio(loop_scope="module")  # for those that leave the server as it was

CHAT = "/v1/chat/completions"
TURN = {"role": "user", "content": "good morning"}
KEY = "correct horse battery staple"
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@shared
async def test_the_playgrounds_door_has_the_same_bounds(live_server):
    body = b'{"fn_index":1,"session_hash":"a","data":[' + b",".join([b"{}"] * 340_000) + b"]}"
    async with live_server.http() as http:
        assert (await http.post("/gradio_api/queue/join", content=body)).status_code == 400
        assert (await http.post("/gradio_api/queue/join", content=b'"' + b"a" * 2 * MIB + b'"')).status_code == 413


@shared
async def test_many_plain_messages_are_a_conversation_as_ever(live_server):
    messages = [TURN, {"role": "assistant", "content": '[{"a":1},{"b":2}]' * 20}] * 1000 + [TURN]
    async with live_server.http() as http:
        response = await http.post(CHAT, json={"model": "base", "messages": messages})
    assert response.status_code == 200, response.text


@shared
async def test_a_client_that_sends_all_of_a_large_body_reads_why_it_is_refused(live_server):
    address = urlsplit(live_server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * MIB}\r\n\r\n"
    writer.write(head.encode() + b"a" * 2 * MIB)
    await writer.drain()
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"1024 KiB" in answer
    writer.close()


async def test_the_login_takes_four_kibibytes_and_ten_fields(tmp_path):
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        assert (await http.post("/login", content=b"a=1&" * 1100)).status_code == 413
        refused = await http.post("/login", content=b"a=1&" * 11 + b"key=" + KEY.encode())
        assert (refused.status_code, "10 fields" in refused.text) == (400, True)
        assert (await http.post("/login", data={"key": KEY})).status_code == 303


async def connect(url):
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port)


async def answer_of(reader):
    """What the server says until it closes the connection."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc"])
async def test_half_a_head_ends_with_its_deadline(tmp_path, sent):
    async with echo_server(tmp_path, limits=ConnectionLimits(head_s=0.2)) as server:
        reader, writer = await connect(server.url)
        writer.write(sent)
        assert (await answer_of(reader)).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_head_that_trickles_in_does_not_move_its_deadline(tmp_path):
    async with echo_server(tmp_path, limits=ConnectionLimits(head_s=0.3)) as server:
        reader, writer = await connect(server.url)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        answering = asyncio.create_task(answer_of(reader))
        while not answering.done():
            writer.write(b"X-Slow: 1\r\n")
            await asyncio.sleep(0.02)
        assert answering.result() == b"" or answering.result().startswith(b"HTTP/1.1 408")
        writer.close()


async def test_the_second_request_of_a_connection_has_a_deadline_too(tmp_path):
    async with echo_server(tmp_path, limits=ConnectionLimits(head_s=0.5)) as server:
        reader, writer = await connect(server.url)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.write(b"GET /healthz HTT")
        assert b"HTTP/1.1 408" in await answer_of(reader)
        writer.close()


async def test_a_body_that_never_comes_ends_with_its_deadline(tmp_path):
    async with echo_server(tmp_path, limits=ConnectionLimits(body_s=0.3)) as server:
        for path in (CHAT, "/healthz", "/v1/nothing"):
            reader, writer = await connect(server.url)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{{".encode())
            await answer_of(reader)
            writer.close()
        async with server.http() as http:
            assert (await http.get("/healthz")).status_code == 200


async def test_a_client_that_reads_nothing_is_left(tmp_path):
    async with echo_server(tmp_path, limits=ConnectionLimits(read_s=0.2)) as server:
        reader, writer = await connect(server.url)
        reader._transport.pause_reading()
        for _ in range(400):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises((ConnectionError, TimeoutError)):
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.transport.abort()


async def test_sockets_with_half_a_head_make_room_for_people(tmp_path):
    async with echo_server(tmp_path, limits=ConnectionLimits(waiting=20)) as server:
        held = []
        for _ in range(60):
            reader, writer = await connect(server.url)
            writer.write(b"GET / HTTP/1.1\r\nHost: ")
            held.append((reader, writer))
        async with server.http() as http:
            assert (await http.post(CHAT, json={"model": "zen", "messages": [TURN]})).status_code == 200
        assert (await answer_of(held[0][0])).startswith(b"HTTP/1.1 503")
        for _, writer in held:
            writer.close()


async def test_a_request_beyond_the_limit_is_answered_503_and_a_probe_is_not(tmp_path):
    engine = EchoEngine()
    engine.gate.close()
    limits = ConnectionLimits(requests=2)
    async with echo_server(tmp_path, engine=engine, limits=limits) as server, server.http() as http:
        body = {"model": "zen", "messages": [TURN]}
        asking = [asyncio.create_task(http.post(CHAT, json=body)) for _ in range(2)]
        await until(lambda: len(server.service.worker._writing) == 2)
        refused = await http.post(CHAT, json=body)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert refused.json()["error"]["type"] == "server_error"
        assert (await http.get("/healthz")).status_code == 200
        engine.gate.open()
        assert [(await asked).status_code for asked in asking] == [200, 200]
        assert (await http.post(CHAT, json=body)).status_code == 200


async def test_one_users_flood_fills_a_quarter_of_the_queue_and_the_next_person_is_soon_served(tmp_path):
    engine = EchoEngine()
    engine.gate.close()
    many = httpx.Limits(max_connections=None)
    async with echo_server(tmp_path, engine=engine, queue_size=16) as server, server.http(limits=many) as http:
        flood = [asyncio.create_task(ask(http, "mallory")) for _ in range(24)]
        refused = 24 - 4 - server.echo.slots
        await until(lambda: sum(asked.done() for asked in flood) == refused)
        assert all(asked.result().status_code == 429 for asked in flood if asked.done())
        assert "Retry-After" in next(asked for asked in flood if asked.done()).result().headers
        assert await server.service.queue.depth() == 4
        innocent = asyncio.create_task(ask(http, "alice"))
        engine.gate.open()
        assert (await innocent).status_code == 200
        assert {(await asked).status_code for asked in flood} == {200, 429}


def ask(http, user):
    return http.post(CHAT, json={"model": "zen", "messages": [TURN], "user": user})


@pytest.mark.parametrize("name", ["user_messages_per_minute", "api_messages_per_minute"])
async def test_a_limit_that_is_set_holds_for_each_user_of_the_api(tmp_path, name):
    async with echo_server(tmp_path, **{name: 3}) as server, server.http() as http:
        assert [(await ask(http, "bob")).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert (await ask(http, "alice")).status_code == 200
        refused = await ask(http, "bob")
    assert "try again in" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 60


async def test_programs_have_no_limit_that_nobody_has_set(tmp_path):
    async with echo_server(tmp_path) as server, server.http() as http:
        assert {(await ask(http, "bob")).status_code for _ in range(15)} == {200}
