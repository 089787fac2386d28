"""/healthz, /readyz and /metrics, while the model loads, works and fails."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.engine.echo_engine import EchoEngine
from tests.running.serving import PERSONAS, echo_server, until, until_one_waits

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}


async def scrape(http) -> dict[tuple[str, frozenset], float]:
    response = await http.get("/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.text)
    return {(s.name, frozenset(s.labels.values())): s.value for family in families for s in family.samples}


async def test_while_the_model_loads_the_server_is_not_ready_and_what_people_ask_waits_for_it(tmp_path):
    async with echo_server(tmp_path, is_started=False) as server, server.http() as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/")).status_code == 200
        ready = await http.get("/readyz")
        asking = asyncio.create_task(http.post(CHAT, json=BODY))
        await until_one_waits(server.service.queue)
        assert (await http.get("/metrics")).status_code == 200
        await server.service.start()
        assert (await http.get("/readyz")).status_code == 200
        answered = await asking

    assert ready.status_code == 503
    assert "loading" in ready.json()["reason"]
    assert answered.status_code == 200
    assert answered.json()["choices"][0]["message"]["content"] == "[zen@1] good morning"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_load_balancer_may_ask_for_no_body(live_server, path):
    async with live_server.http() as http:
        response = await http.head(path)
    assert (response.status_code, response.content) == (200, b"")


async def test_an_engine_that_broke_down_makes_the_server_unready(tmp_path):
    async with echo_server(tmp_path) as server, server.http() as http:
        server.echo.crash()
        response = await http.get("/readyz")
    assert response.status_code == 503
    assert "worker" in response.json()["reason"]


async def test_a_store_that_cannot_be_reached_makes_the_server_unready_but_not_dead(live_server, tmp_path, caplog):
    data = tmp_path / "data"
    await until(lambda: len(live_server.echo.adapters()) == len(PERSONAS))  # then hardly anything uses the store
    for door in (live_server.service.store._reading, live_server.service.store._writing):
        await door._close()  # once nobody is inside; it connects again with the next transaction
    data.rename(tmp_path / "away")
    async with live_server.http() as http:
        ready = await http.get("/readyz")
        chat = await http.post(CHAT, json=BODY)
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200
        (tmp_path / "away").rename(data)
        assert (await http.get("/readyz")).status_code == 200
    assert ready.status_code == chat.status_code == 503
    for said in (ready.json()["reason"], chat.json()["error"]["message"]):
        assert "database" in said
        assert str(tmp_path) not in said
    assert f"{data}/personas.db" in caplog.text


async def test_metrics_count_replies_tokens_times_thumbs_and_adapters(live_server):
    async with live_server.http() as http:
        reply = (await http.post(CHAT, json=BODY)).json()
        await http.post("/v1/feedback", json={"completion_id": reply["id"], "label": False})
        await http.post(CHAT, json=BODY | {"model": "zen:0.5+codebeard:0.2"})
        values = await scrape(http)

    def value(name: str, *labels: str) -> float:
        return values[name, frozenset(labels)]

    assert value("personas_requests_total", "zen", "api", "succeeded") == 1
    assert value("personas_requests_total", "blend", "api", "succeeded") == 1
    assert value("personas_tokens_total", "zen", "completion") == reply["usage"]["completion_tokens"]
    assert value("personas_time_to_first_token_seconds_count", "api") == 2
    assert value("personas_wait_seconds_count", "api") == 2
    assert value("personas_feedback", "zen", "down") == 1
    assert value("personas_adapters", "device") == 2
    assert value("personas_queue_depth") == 0
    assert value("personas_engine_tokens_generated_total") > 0


async def test_metrics_show_what_runs_waits_and_is_refused(tmp_path):
    engine = EchoEngine(slots=1)
    async with echo_server(tmp_path, engine=engine, queue_size=1) as server, server.http() as http:
        engine.gate.close()
        running = asyncio.create_task(http.post(CHAT, json=BODY))
        await engine.gate.wait_until_held()
        queued = asyncio.create_task(http.post(CHAT, json=BODY))
        refused = http.post(CHAT, json=BODY)
        while (await scrape(http))["personas_queue_depth", frozenset()] < 1:
            continue
        assert (await refused).status_code == 429
        values = await scrape(http)
        engine.gate.open()
        await asyncio.gather(running, queued)

    assert values["personas_engine_running", frozenset()] == 1
    assert values["personas_replies_open", frozenset({"api"})] == 2
    assert values["personas_requests_total", frozenset({"zen", "api", "refused"})] == 1
