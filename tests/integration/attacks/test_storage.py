"""Attacks on what is stored: full disks, damaged and lost databases, text that may not stay, a sudden end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from argparse import Namespace
from contextlib import closing, suppress

import httpx
import pytest
import uvicorn

from bot.commands.doctor import doctor
from bot.service.service import Service
from bot.web.app import build_app
from core.engine.echo_engine import EchoEngine
from core.errors import StoreUnavailable
from core.settings import Settings
from tests.running.command import personas
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_server, echo_settings, until

CHAT = "/v1/chat/completions"
BODY = {"model": "zen", "messages": [{"role": "user", "content": "good morning"}]}


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
        assert copy.stat().st_mode & 0o777 == 0o600
        again = await asyncio.to_thread(personas, "db", "backup", str(copy), data_dir=data)
        assert again.returncode == 2 and "exists already" in again.stderr
    for path in data.glob("personas.db*"):
        path.write_bytes(b"lost" * 4096)
        path.unlink()
    shutil.copyfile(copy, data / "personas.db")
    async with echo_server(tmp_path) as server, server.http() as http:
        assert (await server.exchange(kept)).reply == "[zen@1] good morning"
        assert (await http.post("/v1/feedback", json={"completion_id": kept, "label": True})).is_success
    assert (data / "personas.db").stat().st_mode & 0o777 == 0o600


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
