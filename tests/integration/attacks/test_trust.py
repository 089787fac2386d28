"""Attacks on trust and time: other users of the machine, wrong clocks, guessed keys."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from sqlalchemy import select, update

from bot.service.retention import DAY_S, ClockDoubted, erase_old_text
from core.engine.echo_engine import EchoEngine
from core.store.db import Store
from core.store.models import Exchange
from tests.examples.store import record_answered, sqlite_url
from tests.running.command import personas
from tests.running.serving import echo_server, until_one_waits

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}
KEY = "correct horse battery staple"


def mode(path) -> int:
    return path.stat().st_mode & 0o777


async def test_what_people_said_can_be_read_by_nobody_else_on_the_machine(tmp_path):
    async with echo_server(tmp_path) as server, server.http() as http:
        assert (await http.post(CHAT, json=BODY)).status_code == 200
        files = {path.name: mode(path) for path in (tmp_path / "data").iterdir() if path.is_file()}
    assert mode(tmp_path / "data") == 0o700
    assert {"personas.db", "personas.db-wal"} <= set(files)
    assert set(files.values()) == {0o600}


async def test_an_open_data_folder_is_closed_at_the_next_start_which_says_so_once(tmp_path, caplog):
    data = tmp_path / "data"
    async with echo_server(tmp_path):
        pass
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("not ours to change")
    (data / "link.txt").symlink_to(elsewhere)
    (data / "serve.log").write_text("good morning")
    for path in (data, data / "personas.db", data / "serve.log", elsewhere):
        path.chmod(0o755 if path.is_dir() else 0o644)
    with caplog.at_level(logging.WARNING):
        async with echo_server(tmp_path):
            pass
        async with echo_server(tmp_path):
            pass
    assert [mode(path) for path in (data, data / "personas.db", data / "serve.log")] == [0o700, 0o600, 0o600]
    assert mode(elsewhere) == 0o644
    assert caplog.text.count("Others on this machine could read") == 1


async def test_a_database_elsewhere_is_closed_but_not_the_folder_of_others_that_it_lies_in(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    path = folder / "other.db"
    for _ in range(2):
        await (await Store.open(sqlite_url(path), create_or_upgrade=True)).close()
        assert (mode(folder), mode(path)) == (0o755, 0o600)
        path.chmod(0o644)


async def test_a_clock_that_is_set_ahead_ends_no_reply(tmp_path, monkeypatch):
    engine = EchoEngine(slots=1)
    async with echo_server(tmp_path, engine=engine, reply_timeout_s=60) as server, server.http() as http:
        engine.gate.close()
        running = asyncio.create_task(http.post(CHAT, json=BODY))
        await engine.gate.wait_until_held()
        waiting = asyncio.create_task(http.post(CHAT, json=BODY))
        await until_one_waits(server.service.queue)
        really = time.time
        monkeypatch.setattr(time, "time", lambda: really() + 3600)
        engine.gate.open()
        answers = await asyncio.gather(running, waiting)
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(sqlite_url(tmp_path / "personas.db"), create_or_upgrade=True)
    yield opened
    await opened.close()


async def record(store: Store, *, days_ago: float = 0.0) -> str:
    async with store.write() as session:
        exchange_id = await record_answered(session)
        when = time.time() - days_ago * DAY_S
        await session.execute(
            update(Exchange).where(Exchange.id == exchange_id).values(created_at=when, finished_at=when)
        )
    return exchange_id


async def texts(store: Store) -> int:
    async with store.read() as session:
        return len(list(await session.scalars(select(Exchange.id).where(Exchange.prompt.is_not(None)))))


async def test_a_clock_years_ahead_erases_nothing_even_after_somebody_has_written(store, monkeypatch):
    await record(store)
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 3650 * DAY_S)
    with pytest.raises(ClockDoubted, match=r"clock is wrong.*--trust-clock"):
        await erase_old_text(store, keep_text_days=90)
    await record(store)
    with pytest.raises(ClockDoubted):
        await erase_old_text(store, keep_text_days=90)
    assert await texts(store) == 2
    assert await erase_old_text(store, keep_text_days=90, is_clock_trusted=True) == 1


async def test_a_service_that_nobody_used_for_long_erases_again_a_week_after_it_is_used(store):
    await record(store, days_ago=200)
    await record(store, days_ago=8)
    assert await erase_old_text(store, keep_text_days=90) == 1


async def test_a_service_that_runs_on_while_nobody_uses_it_erases_on_time(store):
    await record(store, days_ago=91)
    with pytest.raises(ClockDoubted):
        await erase_old_text(store, keep_text_days=90)
    assert await erase_old_text(store, keep_text_days=90, passed=time.time() - DAY_S) == 1


def test_an_operator_is_told_that_the_clock_is_doubted_and_may_vouch_for_it(tmp_path):
    async def fill() -> None:
        store = await Store.open(sqlite_url(tmp_path / "personas.db"), create_or_upgrade=True)
        await record(store, days_ago=400)
        await store.close()

    asyncio.run(fill())
    refused = personas("data", "purge", data_dir=tmp_path)
    assert refused.returncode != 0 and "--trust-clock" in refused.stderr
    assert "of 1 exchanges" in personas("data", "purge", "--trust-clock", data_dir=tmp_path).stdout


async def test_guessing_the_key_is_slow_and_logged_and_holds_up_nobody_who_has_it(tmp_path, caplog):
    guesses = 40
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        began = time.monotonic()

        async def guess(number: int) -> int:
            if number % 2:
                return (await http.post("/login", data={"key": f"guess {number}"})).status_code
            return (await http.get("/v1/models", headers={"authorization": f"Bearer guess-{number}"})).status_code

        with caplog.at_level(logging.WARNING, logger="bot.web.wrong_keys"):
            guessing = asyncio.gather(*map(guess, range(guesses)))
            right = await http.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})
            assert right.status_code == 200
            assert set(await guessing) == {401}
        took_s = time.monotonic() - began
    assert took_s > 1.3
    lines = [line for line in caplog.messages if "wrong API key" in line]
    assert 1 <= len(lines) <= 1 + took_s / 10
    assert "guess" not in caplog.text and KEY not in caplog.text


async def test_who_logs_out_takes_the_cookie_out_of_use(tmp_path):
    async with echo_server(tmp_path, api_key=KEY) as server, server.http() as http:
        await http.post("/login", data={"key": KEY})
        stolen = {"cookie": f"personas_login={http.cookies['personas_login']}"}
        assert "Log out" in (await http.get("/logout")).text
        assert (await http.post("/logout", headers={"origin": "https://evil.example"})).status_code == 403
        assert (await http.get("/config")).status_code == 200
        left = await http.post("/logout")
        assert (left.status_code, left.headers["location"]) == (303, "/login")
        assert "personas_login" not in http.cookies
        assert (await http.get("/config", headers=stolen)).status_code == 401
        await http.post("/login", data={"key": KEY})
        assert (await http.get("/config")).status_code == 200
