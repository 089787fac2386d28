"""What a stranger's program, or a page of another site, may try on the playground and Gradio below it."""

from __future__ import annotations

import asyncio
import json
import re
import uuid

import gradio
import pytest
import pytest_asyncio
from starlette.routing import BaseRoute, Mount, Route

from bot.web.page_sessions import MAX_SESSIONS_PER_COOKIE
from bot.web.playground_queue import MAX_SESSION_SENDS, PlaygroundQueue
from core.outside_files import BOM
from tests.running.patience import TIMEOUT_S
from tests.running.playground_page import open_page
from tests.running.serving import echo_server, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOIN = "/gradio_api/queue/join"
SERVED = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/config"),
    ("GET", "/theme.css"),
    ("GET", "/static/{path:path}"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/gradio_api/heartbeat/{session_hash}"),
    ("POST", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/queue/data"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def http(server):
    """A browser that has opened the page."""
    server.echo.gate.open()
    async with server.http() as http:
        assert (await http.get("/")).status_code == 200
        yield http
    server.echo.gate.open()


async def event_ids(http) -> dict[str, int]:
    return {event["api_name"]: event["id"] for event in (await http.get("/config")).json()["dependencies"]}


def queue_of(server) -> PlaygroundQueue:
    return server.app.state.playground


def queue_loops() -> list[asyncio.Task[object]]:
    """The tasks of Gradio's queue in this event loop."""
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "start_processing"]


async def test_a_byte_order_mark_before_an_event_is_no_part_of_it(http):
    body = {"fn_index": (await event_ids(http))["_refresh"], "session_hash": "abcdefabcdef", "data": ["zen", ""]}
    twice = await http.post(JOIN, content=BOM * 2 + json.dumps(body).encode())
    assert (twice.status_code, twice.json()["detail"]) == (400, "The event is not valid JSON; open this page again.")
    once = await http.post(JOIN, content=BOM + json.dumps(body).encode())
    assert once.status_code == 200, once.text


async def test_a_flood_of_new_sessions_leaves_the_playground_alive(server, http):
    ids = await event_ids(http)
    sessions = queue_of(server).pending_messages_per_session
    before = len(sessions)  # other browsers'
    sessions.max_size = before + MAX_SESSIONS_PER_COOKIE + 10  # 2,000 would take long
    for _ in range(MAX_SESSIONS_PER_COOKIE + 40):
        body = {"fn_index": ids["_refresh"], "session_hash": uuid.uuid4().hex[:12], "data": ["zen", ""]}
        assert (await http.post(JOIN, json=body)).status_code in (200, 429, 503)
    assert len(sessions) - before <= MAX_SESSIONS_PER_COOKIE
    assert (await http.get("/readyz")).status_code == 200
    async with server.http() as other:
        _, output, _ = await (await open_page(other)).call("_refresh", "zen", "")
    assert "adapter `zen@1`" in output[0]


async def test_a_session_has_one_reply_and_one_send_that_waits_and_other_pages_are_quick(server, http):
    ids = await event_ids(http)
    server.echo.gate.close()
    body = {"fn_index": ids["_send"], "session_hash": "greedy", "data": ["hello", None, "zen", ""]}
    answers = [(await http.post(JOIN, json=body)) for _ in range(45)]
    assert [answer.status_code for answer in answers].count(200) == MAX_SESSION_SENDS
    assert "still being answered" in answers[-1].json()["detail"]

    async with server.http() as other:  # while the engine writes nothing
        _, output, _ = await asyncio.wait_for((await open_page(other)).call("_refresh", "zen", ""), TIMEOUT_S)
    assert "adapter `zen@1`" in output[0]


async def test_many_sessions_that_wait_for_replies_leave_places_for_quick_events(server):
    server.echo.gate.close()
    codes: list[int] = []
    for _ in range(3):  # browsers
        async with server.http() as http:
            ids = await event_ids(http)
            for _ in range(15):
                name = uuid.uuid4().hex[:12]
                body = {"fn_index": ids["_send"], "session_hash": name, "data": ["hi", None, "zen", ""]}
                codes.append((await http.post(JOIN, json=body)).status_code)
    assert set(codes) == {200}
    async with server.http() as other:
        _, output, _ = await (await open_page(other)).call("_refresh", "zen", "")
    assert "adapter `zen@1`" in output[0]
    server.echo.gate.open()


async def test_a_queue_whose_loop_dies_is_told_by_readyz_and_started_again(tmp_path):
    async with echo_server(tmp_path) as server, server.http() as http:
        loops = queue_loops()
        page = await open_page(http)
        for loop in loops:
            loop.cancel()
        await until(lambda: queue_of(server).problem)
        told = await http.get("/readyz")
        assert told.status_code == 503
        assert "playground" in told.json()["reason"]
        await until(lambda: queue_of(server).problem is None)
        assert (await http.get("/readyz")).status_code == 200
        toasts, output, _ = await page.call("_send", "are you back", None, "zen", "")
        assert (toasts, output is not None) == ([], True)


async def test_an_event_whose_session_is_gone_stops_nothing(tmp_path):
    async with echo_server(tmp_path) as server, server.http() as http:
        server.echo.gate.close()
        ids = await event_ids(http)
        body = {"fn_index": ids["_send"], "session_hash": "gone", "data": ["hi", None, "zen", ""]}
        assert (await http.post(JOIN, json=body)).status_code == 200
        await server.echo.gate.wait_until_held()
        queue_of(server).pending_messages_per_session.clear()
        server.echo.gate.open()
        _, output, _ = await (await open_page(http)).call("_refresh", "zen", "")
        assert output is not None
        assert (await http.get("/readyz")).status_code == 200


def routes_of(app: object) -> list[tuple[str, str]]:
    """(method, path) of every route of an app, those of its mounts too."""
    found: list[tuple[str, str]] = []
    routes: list[BaseRoute] = list(app.routes)  # type: ignore[attr-defined]
    for route in routes:
        if isinstance(route, Mount):
            found += [(method, route.path + path) for method, path in routes_of(route)]
        elif isinstance(route, Route):
            found += [(method, route.path) for method in route.methods or ()]
        else:
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            assert inner is not None, f"a kind of route that this test does not know: {route!r}"
            found += routes_of(inner)
    return found


async def test_of_gradios_routes_only_those_that_the_page_uses_are_served(server, http):
    """Also after an update: every route that Gradio has is asked."""
    with gradio.Blocks() as blocks:
        gradio.Textbox()
    routes = routes_of(gradio.routes.App.create_app(blocks))
    assert len(routes) > 50
    assert set(routes) >= SERVED
    for method, path in set(routes) - SERVED:
        answer = await http.request(method, re.sub(r"{.*?}", "1", path))
        assert answer.status_code == 404, f"{method} {path}"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.com/x",
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/proxy=https://x.hf.space/",
        "/gradio_api/upload_progress?upload_id=1",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/app_id",
        "/gradio_api/startup-events",
        "/gradio_api/custom_component/1/server/component/x.js",
        "//gradio_api/file=https://example.com/x",
        "/gradio_api/queue/data/",
        "/assets/%2e%2e/config",
        "/assets/.hidden",
        "/static/img/logo.svg",
        "/monitoring",
        "/svelte/x",
        "/pwa_icon",
    ],
)
async def test_what_the_page_does_not_use_is_not_there(http, path):
    assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/stream/1", JOIN])
async def test_no_upload_leaves_a_file(http, path, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    answer = await http.post(path, files={"files": ("a.txt", b"hello")})
    assert answer.status_code in (400, 404)
    assert list(tmp_path.rglob("*")) == []


async def test_an_event_that_names_a_file_to_fetch_fetches_none(server, http):
    visits: list[int] = []
    elsewhere = await asyncio.start_server(lambda _r, writer: (visits.append(1), writer.close()), "127.0.0.1", 0)
    port = elsewhere.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/x"
    file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
    toasts, _, _ = await (await open_page(http)).call("_send", file, None, "zen", "")
    elsewhere.close()
    assert not visits
    assert "must be text" in toasts[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://evil.localhost:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/heartbeat/a1", "/v1/models", "/metrics", "/assets/x.js"])
async def test_a_page_of_another_site_reads_nothing(http, path, headers):
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
        answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_link_from_another_site_opens_the_page(http):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await http.get("/", headers=link)).status_code == 200
    assert (await http.get("/config", headers=link)).status_code == 403


async def test_no_answer_has_gradios_cors_headers(server, http):
    for path in ("/", "/config", "/theme.css"):
        answer = await http.get(path, headers={"origin": server.url})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("name", ["\ud800", "", "a" * 21, "A", "../x", "a b", "a\n", None, 7, ["a"], {"a": 1}])
async def test_a_session_name_that_no_page_makes_is_refused(http, name):
    ids = await event_ids(http)
    body = {"fn_index": ids["_refresh"], "session_hash": name, "data": ["zen", ""]}
    answer = await http.post(JOIN, content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "session" in answer.json()["error"]["message"]


async def test_a_session_belongs_to_the_browser_that_opened_it(server, http):
    ids = await event_ids(http)
    body = {"fn_index": ids["_refresh"], "session_hash": "mine", "data": ["zen", ""]}
    assert (await http.post(JOIN, json=body)).status_code == 200
    async with server.http() as thief:
        assert (await thief.post(JOIN, json=body)).status_code == 403  # no cookie at all
        await thief.get("/")
        assert (await thief.post(JOIN, json=body)).status_code == 403
        assert (await thief.get("/gradio_api/queue/data?session_hash=mine")).status_code == 403
        assert (await thief.get("/gradio_api/heartbeat/mine")).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 20_000,
        b'{"fn_index": 99, "session_hash": "a", "data": []}',
        b'{"fn_index": true, "session_hash": "a", "data": []}',
        b'{"fn_index": 0, "session_hash": "a", "data": {}}',
        b'{"fn_index": 0, "session_hash": "a", "data": [' + b"0," * 50_000 + b"0]}",
        b'{"fn_index": 0, "session_hash": "a", "data": [], "event_data": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"fn_index": ' + b"9" * 5_000 + b', "session_hash": "a", "data": []}',
    ],
)
async def test_a_body_that_is_no_event_is_refused_with_a_sentence(http, body):
    answer = await http.post(JOIN, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")


async def test_a_body_that_is_too_large_is_refused(http):
    assert (await http.post(JOIN, content=b'"' + b"a" * 300_000 + b'"')).status_code == 413
