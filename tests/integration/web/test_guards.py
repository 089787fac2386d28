"""Who may use the server: nobody from another website, and with a key set nobody without it."""

from __future__ import annotations

import pytest

from tests.running.serving import echo_server

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}
KEY = "correct horse battery staple"


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "personas.localhost", "127.1.2.3"])
async def test_a_loopback_name_is_served(live_server, host):
    async with live_server.http(headers={"host": host}) as http:
        assert (await http.get("/v1/models")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.1.4:7860", "[", "", "127.0.0.1.x"])
async def test_a_name_that_was_rebound_to_loopback_is_refused(live_server, host):
    async with live_server.http(headers={"host": host}) as http:
        for path in ("/", "/v1/models", "/metrics", "/gradio_api/info"):
            response = await http.get(path)
            assert response.status_code == 403
        assert "localhost" in response.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
async def test_a_page_from_elsewhere_cannot_post(live_server, origin):
    async with live_server.http(headers={"origin": origin}) as http:
        for path in (CHAT, "/v1/feedback", "/gradio_api/queue/join"):
            assert (await http.post(path, json=BODY)).status_code == 403


async def test_the_servers_own_page_can_post(live_server):
    async with live_server.http(headers={"origin": live_server.url}) as http:
        assert (await http.post(CHAT, json=BODY)).status_code == 200


async def test_pages_may_load_nothing_from_elsewhere_and_be_framed_nowhere(live_server):
    async with live_server.http() as http:
        policy = (await http.get("/")).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


async def test_the_playground_takes_no_files(live_server):
    async with live_server.http() as http:
        response = await http.post("/gradio_api/upload", files={"files": ("a.txt", b"hello")})
    assert response.status_code >= 400


async def test_with_a_key_set_the_api_wants_it_as_a_bearer(tmp_path):
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"authorization": "Basic x"}):
            for path in ("/v1", "/v1/models", "/metrics"):
                refused = await http.get(path, headers=header)
                assert refused.status_code == 401
                assert refused.json()["error"]["code"] == "invalid_api_key"
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        assert (
            await http.get("/v1/models", headers={"host": "chat.example", "authorization": f"Bearer {KEY}"})
        ).is_success
        async with server.client(api_key=KEY) as client:
            reply = await client.chat.completions.create(**BODY)
    assert reply.choices[0].message.content == "[zen@1] good morning"


@pytest.mark.parametrize("api_key", [f" {KEY}\n", f"\t{KEY}"])
async def test_blanks_around_the_key_are_no_part_of_it(tmp_path, api_key):
    async with echo_server(tmp_path, api_key=api_key) as server, server.http() as http:
        assert (await http.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})).status_code == 200
        assert (await http.post("/login", data={"key": KEY})).status_code == 303


async def test_with_a_key_set_the_playground_asks_for_it(tmp_path):
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        shown = await http.get("/", headers={"accept": "text/html"})
        assert (shown.status_code, shown.headers["location"]) == (303, "/login")
        for path in ("/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=a", "/gradio_api/heartbeat/a"):
            assert (await http.get(path)).status_code == 401
        assert (await http.post("/gradio_api/queue/join", json={})).status_code == 401

        wrong = await http.post("/login", data={"key": "<b>guess"})
        assert wrong.status_code == 401
        assert "<b>guess" not in wrong.text
        assert "set-cookie" not in wrong.headers

        entered = await http.post("/login", data={"key": KEY})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert KEY not in cookie
        assert (await http.get("/config")).status_code == 200
        assert (await http.get("/v1", headers={"accept": "text/html"})).status_code == 401
        assert (await http.get("/v1/models")).status_code == 401  # the cookie is for the page alone


@pytest.mark.parametrize("cookie", ["9999999999.{signature}", "x", ".", "9999999999.", "{expiry}.{signature}0", "é.é"])
async def test_a_cookie_that_was_not_signed_here_opens_nothing(tmp_path, cookie):
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        await http.post("/login", data={"key": KEY})
        expiry, _, signature = http.cookies["personas_login"].partition(".")
        http.cookies.clear()
        forged = cookie.format(expiry=expiry, signature=signature)
        response = await http.get("/config", headers={"cookie": f"personas_login={forged}".encode()})
    assert response.status_code == 401
