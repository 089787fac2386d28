"""The server dies in mid-reply, or is asked to stop: nothing is lost, and the ledger knows how everything ended."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

from openai import OpenAI

from bot.service.service import CRASHED, STOPPED
from tests.running.real_server import real_server

# So hot that the model hardly ever comes upon its stop token.
LONG = {"max_tokens": 800, "temperature": 5.0, "seed": 1}


def ask(server, **options):
    """A streaming reply, and its first piece of text: from then on it is being written."""
    client = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
    question = [{"role": "user", "content": "what is a mutex"}]
    stream = client.chat.completions.create(model="zen", messages=question, stream=True, **options)
    first = next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    return first.id, first.choices[0].delta.content, stream


def ledger(data_dir) -> dict[str, tuple[str, str | None, str | None]]:
    """{exchange: (status, reply, error)}"""
    with closing(sqlite3.connect(data_dir / "personas.db")) as database:
        rows = database.execute("SELECT id, status, reply, error FROM exchanges").fetchall()
    return {exchange_id: rest for exchange_id, *rest in rows}


def test_a_killed_servers_exchanges_are_settled_when_it_starts_again(tmp_path):
    with real_server(tmp_path) as server:
        open_streams = [ask(server, **LONG) for _ in range(3)]
        server.kill()
        for _, _, stream in open_streams:
            stream.close()
    unfinished = {exchange_id for exchange_id, (status, _, _) in ledger(tmp_path).items() if status == "running"}
    assert unfinished
    with real_server(tmp_path) as server:
        assert "marked as failed" in server.log
        rows = ledger(tmp_path)
        assert set(rows) == {exchange_id for exchange_id, _, _ in open_streams}
        assert {tuple(rows[exchange_id]) for exchange_id in unfinished} == {("failed", None, CRASHED)}
        assert {status for status, _, _ in rows.values()} <= {"failed", "succeeded"}
        exchange_id, _, stream = ask(server, max_tokens=8)
        list(stream)
    assert ledger(tmp_path)[exchange_id][0] == "succeeded"


def test_a_server_that_is_asked_to_stop_finishes_its_replies(tmp_path):
    with real_server(tmp_path, drain_timeout_s="120") as server:
        exchange_id, text, stream = ask(server, **{**LONG, "max_tokens": 60})
        server.process.send_signal(signal.SIGTERM)
        end = None
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            end = chunk.choices[0].finish_reason or end
        assert end in ("stop", "length")
        assert server.process.wait(120) == 0
    assert ledger(tmp_path)[exchange_id][:2] == ["succeeded", text]
    assert "Traceback" not in server.log


def test_a_second_signal_stops_it_at_once_and_the_ledger_still_knows(tmp_path):
    with real_server(tmp_path, drain_timeout_s="120") as server:
        exchange_id, _, stream = ask(server, **LONG)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(120) == 130
        stream.close()
    assert ledger(tmp_path)[exchange_id] == ["failed", None, STOPPED]
    assert "Traceback" not in server.log
