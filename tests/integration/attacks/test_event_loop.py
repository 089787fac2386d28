"""Bodies that cost far more than their bytes. Whatever is judged, everybody else is served, and memory comes back."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import pytest_asyncio

from tests.running.echo_process import echo_process
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_server

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024
# What others may wait for, in seconds of this process's computing: a busy machine changes the clock's seconds alone.
PAUSE_S = 0.2


def filled(before: bytes, entry: bytes, after: bytes) -> bytes:
    """A body of about a mebibyte, with as many entries of a list as fit."""
    count = (MIB - len(before) - len(after)) // (len(entry) + 1)
    return before + b",".join([entry] * count) + after


def keys(count: int) -> bytes:
    return b",".join(b'"k%05d":1' % number for number in range(count))


def asking(message: dict[str, str], count: int) -> bytes:
    return json.dumps({"model": "base", "messages": [message] * count}).encode()


ASK = b'{"model":"base","messages":[{"role":"user","content":"hi"}],'
TURN = b'{"model":"base","messages":[{"role":"user","content":"hi",'
REFUSED = {
    "empty messages": filled(b'{"model":"base","messages":[', b"{}", b"]}"),
    "short messages": filled(b'{"model":"base","messages":[', b'{"role":"user","content":"a"}', b"]}"),
    "numbers for messages": filled(b'{"model":"base","messages":[', b"1", b"]}"),
    "numbers for stop strings": filled(ASK + b'"stop":[', b"1", b"]}"),
    "stop strings": filled(ASK + b'"stop":[', b'"a"', b"]}"),
    "one stop string": ASK + b'"stop":"' + b"a" * (MIB - 100) + b'"}',
    "content parts": filled(
        b'{"model":"base","messages":[{"role":"user","content":[', b'{"type":"text","text":""}', b"]}]}"
    ),
    "a list as the model": filled(b'{"model":[', b"{}", b'],"messages":[{"role":"user","content":"hi"}]}'),
    "a list nobody asked for": filled(ASK + b'"metadata":[', b"{}", b"]}"),
    "a list of lists": filled(ASK + b'"logit_bias":[', b"[]", b"]}"),
    "keys": ASK + keys(94_000) + b"}",
    "keys of a message": TURN + keys(94_000) + b"}]}",
    "quotes": b'{"model":"' + b'\\"' * (MIB // 2 - 20) + b'","messages":[]}',
    "half pairs": b'{"model":"base","messages":[{"role":"user","content":"' + b"\\ud800" * (MIB // 6 - 20) + b'"}]}',
    "one long message": asking({"role": "user", "content": "a " * (MIB // 2 - 40)}, 1),
    "brackets": b'{"model":"base","messages":' + b"[" * (MIB // 2 - 20) + b"]" * (MIB // 2 - 20) + b"}",
    "objects in objects": b'{"model":"base","messages":' + b'{"a":' * 170_000 + b"1" + b"}" * 170_000 + b"}",
    "a long number": ASK + b'"seed":' + b"1" * (MIB - 100) + b"}",
    "half a body": filled(b'{"model":"base","messages":[', b"{}", b""),
}
ANSWERED = {
    "as many messages as there may be": asking({"role": "user", "content": "a " * 90}, 2047),
    "thoughts in an earlier turn": json.dumps(
        {
            "model": "base",
            "messages": [
                {"role": "assistant", "content": "[think]\n[/think] a " * 20_000},
                {"role": "user", "content": "hi"},
            ],
        }
    ).encode(),
    "as many keys as there may be": TURN + keys(29_000) + b"}]}",
    "a number with many digits": ASK + b'"temperature":0.' + b"1" * (MIB - 100) + b"}",
}
WORDS = asking({"role": "user", "content": "a"}, 26_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live_server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        gc.collect()
        gc.freeze()  # what other tests have imported is no work of the server's
        try:
            yield server
        finally:
            gc.unfreeze()


@asynccontextmanager
async def pulse(pauses):
    """Notes what is computed between turns of the event loop, which is the server's too."""

    async def beat():
        while True:
            began = time.process_time()
            await asyncio.sleep(0)
            pauses.append(time.process_time() - began)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", REFUSED | ANSWERED)
async def test_a_mebibyte_is_judged_and_stops_nobody(live_server, name):
    pauses: list[float] = []
    probes: list[float] = []
    async with live_server.http() as http, live_server.http() as other, pulse(pauses):
        judging = asyncio.create_task(http.post(CHAT, content=(REFUSED | ANSWERED)[name]))
        while not judging.done():
            began = time.process_time()
            assert (await other.get("/healthz")).status_code == 200
            probes.append(time.process_time() - began)
    response = await judging
    assert response.status_code == (400 if name in REFUSED else 200), response.text
    assert response.status_code == 200 or len(response.text) < 2000
    # Seconds before; about a hundredth now.
    assert max(pauses) < PAUSE_S
    assert max(probes) < PAUSE_S


CHUNKED = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
PIECES = {
    "chunks of one byte": CHUNKED + b"1\r\n \r\n" * 20_000,
    "lines of a head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
    "lines of a second head": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n"
    + b"a: b\r\n" * 9_000
    + b"\r\n",
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PIECES)
async def test_a_request_in_very_many_pieces_is_refused_and_stops_nobody(live_server, name):
    host, port = live_server.url.removeprefix("http://").split(":")
    pauses: list[float] = []
    reader, writer = await asyncio.open_connection(host, int(port))
    async with pulse(pauses):
        writer.write(PIECES[name])
        answer = b""
        with suppress(ConnectionResetError):  # the server closes while the client still sends
            async with asyncio.timeout(TIMEOUT_S):
                while read := await reader.read(65_536):
                    answer += read
    writer.close()
    assert not answer or b"too many pieces" in answer
    assert max(pauses) < PAUSE_S  # 0.4 to 0.8 before


def test_memory_comes_back_after_conversations_of_many_messages(tmp_path):
    with echo_process(tmp_path) as server:
        asyncio.run(ask_at_once(server.url, WORDS[:100], 8))
        before = server.memory_mib
        assert asyncio.run(ask_at_once(server.url, WORDS, 8)) == {400}
        assert asyncio.run(ask_at_once(server.url, ANSWERED["as many messages as there may be"], 8)) == {200}
        grown = server.memory_mib - before
    assert grown < 80, f"{grown:.0f} MiB stay"  # 400 before; about 20 now, which the next ones use again


async def ask_at_once(url, body, count):
    """The status codes of as many requests at the same time."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as http:
        answers = await asyncio.gather(*(http.post(CHAT, content=body) for _ in range(count)))
    return {answer.status_code for answer in answers}


def test_the_hostile_bodies_are_nearly_a_mebibyte():
    for name, body in REFUSED.items():
        assert 0.95 * MIB <= len(body) <= MIB, name
    assert json.loads(REFUSED["empty messages"])["messages"][:2] == [{}, {}]
