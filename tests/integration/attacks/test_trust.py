"""Attacks on trust and time: other users of the machine, wrong clocks, guessed keys, full and damaged disks."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import time
from argparse import Namespace
from contextlib import closing, suppress

import httpx
import pytest
import uvicorn
from sqlalchemy import select, update

from bot.commands.doctor import doctor
from bot.service.retention import DAY_S, ClockDoubted, erase_old_text
from bot.service.service import Service
from bot.web.app import build_app
from core.engine.echo_engine import EchoEngine
from core.errors import StoreUnavailable
from core.settings import Settings
from core.store.db import Store
from core.store.models import Exchange
from tests.examples.store import record_answered, sqlite_url
from tests.running.command import personas
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_server, echo_settings, until, until_one_waits

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}
KEY = "correct horse battery staple"


def mode(path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


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
    guesses = 60
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
    assert took_s > 2
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


async def test_a_write_that_failed_makes_the_server_unready_until_one_works(tmp_path):
    path = tmp_path / "data" / "personas.db"
    async with echo_server(tmp_path, database_url=f"sqlite:///{path}?timeout=0.05") as server, server.http() as http:
        assert (await http.post(CHAT, json=BODY)).status_code == 200
        with closing(sqlite3.connect(path, check_same_thread=False)) as other_program:
            await asyncio.to_thread(other_program.execute, "BEGIN IMMEDIATE")
            assert (await http.post(CHAT, json=BODY)).status_code == 503
            for _ in range(2):
                unready = await http.get("/readyz")
                assert unready.status_code == 503
                assert str(tmp_path) not in unready.text
        async with asyncio.timeout(TIMEOUT_S):
            while (await http.get("/readyz")).status_code != 200:  # nobody sends a message meanwhile
                pass


async def damage_and_ask(tmp_path, path) -> None:
    async with echo_server(tmp_path) as server, server.http() as http:
        for _ in range(3):
            assert (await http.post(CHAT, json=BODY)).status_code == 200
        with closing(sqlite3.connect(path)) as other_program:
            other_program.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        assert (await http.post(CHAT, json=BODY)).status_code == 503
        assert (await http.get("/readyz")).status_code == 503
        await asyncio.sleep(1.1)  # then it has looked again
        assert (await http.get("/readyz")).status_code == 503


async def test_a_database_that_is_damaged_while_it_is_used_makes_the_server_unready(tmp_path, capsys):
    path = tmp_path / "data" / "personas.db"
    with pytest.raises(StoreUnavailable, match="is damaged"):  # as it ends, too
        await damage_and_ask(tmp_path, path)
    settings = Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")
    assert await asyncio.to_thread(doctor, Namespace(), settings) == 1
    assert "is damaged" in capsys.readouterr().out


def test_the_doctor_looks_at_the_rights_the_disk_and_the_database(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    doctor(Namespace(), Settings(data_dir=data))
    told = " ".join(capsys.readouterr().out.split())
    for said in (f"others on this machine could read {data}", "GiB are free", "is intact"):
        assert said in told


async def test_a_database_that_is_taken_away_while_it_is_used_makes_the_server_unready(tmp_path):
    path = tmp_path / "data" / "personas.db"
    async with echo_server(tmp_path) as server, server.http() as http:
        path.rename(tmp_path / "away.db")
        assert (await http.get("/readyz")).status_code == 503
        (tmp_path / "away.db").rename(path)
        assert (await http.get("/readyz")).status_code == 200


async def test_a_copy_made_while_the_server_writes_brings_everything_back_after_the_database_is_lost(tmp_path):
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    async with echo_server(tmp_path) as server, server.http() as http:
        kept = (await http.post(CHAT, json=BODY)).json()["id"]
        made = await asyncio.to_thread(personas, "db", "backup", str(copy), data_dir=data)
        assert made.returncode == 0, made.stderr
        assert mode(copy) == 0o600
        again = await asyncio.to_thread(personas, "db", "backup", str(copy), data_dir=data)
        assert again.returncode == 2 and "exists already" in again.stderr
    for path in data.glob("personas.db*"):
        path.write_bytes(b"lost" * 4096)
        path.unlink()
    shutil.copyfile(copy, data / "personas.db")
    async with echo_server(tmp_path) as server, server.http() as http:
        assert (await server.exchange(kept)).reply == "[zen@1] good morning"
        assert (await http.post("/v1/feedback", json={"completion_id": kept, "label": True})).is_success
    assert mode(data / "personas.db") == 0o600


async def test_a_message_that_no_context_could_hold_is_not_stored(live_server):
    huge = "word " * 79_800
    async with live_server.http() as http:
        for _ in range(2):
            refused = await http.post(CHAT, json=BODY | {"messages": [{"role": "user", "content": huge}]})
            assert refused.status_code == 400
            assert "too long" in refused.json()["error"]["message"]
    assert await live_server.exchanges() == []


async def test_a_message_that_the_model_refuses_leaves_no_text_behind(live_server):
    long = "a b " * (live_server.echo.max_context_tokens)
    async with live_server.http() as http:
        refused = await http.post(CHAT, json=BODY | {"messages": [{"role": "user", "content": long}]})
    assert refused.status_code == 400
    (row,) = await live_server.exchanges()
    assert (row.status, row.prompt, row.reply) == ("failed", None, None)


async def test_a_thumb_that_comes_as_the_server_ends_is_told_so_in_openais_shape(tmp_path):
    service = await Service.open(echo_settings(tmp_path), engine=EchoEngine())
    await service.start()
    server = uvicorn.Server(
        uvicorn.Config(build_app(service), port=0, log_level="critical", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as http:
            reply = (await http.post(CHAT, json=BODY)).json()
            with closing(sqlite3.connect(tmp_path / "data" / "personas.db", check_same_thread=False)) as other_program:
                await asyncio.to_thread(other_program.execute, "BEGIN IMMEDIATE")
                thumb = asyncio.create_task(
                    http.post("/v1/feedback", json={"completion_id": reply["id"], "label": True})
                )
                await asyncio.sleep(0.2)  # it waits for the other program now
                server.should_exit = True
                late = await thumb
        assert late.status_code == 503
        assert late.headers["retry-after"]
        assert late.json()["error"]["type"] == "server_error"
    finally:
        with suppress(asyncio.CancelledError):
            await serving
        await service.stop()
