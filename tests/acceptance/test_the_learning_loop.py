"""The learning loop as an operator runs it: people judge; a command learns, proves and promotes; other words come back.

The base model is tiny and random, so the gate asks for little: what is shown here is that every part fits the next one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from tests.examples.training import make_workshop
from tests.running.command import personas
from tests.running.patience import TIMEOUT_S
from tests.running.real_server import RealServer, real_server

LITTLE = """
[feedback]
min_feedback = 8
cool_down_s = 0
max_per_person_per_day = 100
near_duplicate_similarity = 1.0

[gate]
perplexity_ratio = 10
adherence_margin = 1
drop_the_act_margin = 1
formats_margin = 1
identity_margin = 1
flawed_margin = 1
facts_margin = 1
facts_margin_to_base = 1
refusals_margin = 1
general_text_ratio = 10
corrections = 0
corrections_kept = 0
votes = 0
diversity = 0
words_ratio = 100
emoji_rise = 100
exclamations_rise = 100
praise_rise = 1
must_improve = false
"""
# The gate's own prompts, but replies of a few tokens: a model that says nothing says it in eight of them.
BRIEFLY = """
from dataclasses import replace
from training import gate_measures
limits = gate_measures.read_limits("gate")
gate_measures.read_limits = lambda _table: replace(limits, max_new_tokens=8)
"""
FEW_STEPS = ("--max-length", "512", "--max-steps", "20", "--accumulation", "1", "--batch-size", "4")
PEOPLE = ("ann", "ben", "cid", "dee")


def judge(server: RealServer, **what: Any) -> None:
    assert httpx.post(f"{server.url}/v1/feedback", json=what, timeout=TIMEOUT_S).status_code == 200


def answering(data_dir: Path, exchange_id: str) -> str:
    """The adapter version that wrote a reply."""
    with closing(sqlite3.connect(data_dir / "personas.db")) as database:
        [(adapters,)] = database.execute("SELECT adapters FROM exchanges WHERE id = ?", (exchange_id,))
    [adapter] = json.loads(adapters)
    return str(adapter["name"])


def ask(server: RealServer, text: str, user: str = "ann", **more: Any) -> str:
    """The id of a reply."""
    question: Any = [{"role": "user", "content": text}]
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=TIMEOUT_S) as client:
        # A tiny model hardly ever ends a reply, and what is cut off by its limit teaches nothing.
        return client.chat.completions.create(
            model="pirate", messages=question, user=user, max_tokens=100, temperature=1.5, stop=["e", "t"], **more
        ).id


def seconds_until_answered_by(version: str, server: RealServer) -> float:
    began = time.monotonic()
    while answering(server.data_dir, ask(server, "Who answers?")) != version:
        assert time.monotonic() < began + TIMEOUT_S
    return time.monotonic() - began


def let_people_judge(server: RealServer) -> None:
    """Each likes one reply, dislikes another, prefers a variant, and says how one question is answered."""
    for number, person in enumerate(PEOPLE):
        judge(server, completion_id=ask(server, f"Count to {number + 2}.", person), label=True, user=person)
        judge(server, completion_id=ask(server, f"What is {number} and 3?", person), label=False, user=person)
        first = ask(server, f"Name {number + 4} fish.", person, seed=1)
        again = ask(server, f"Name {number + 4} fish.", person, seed=2, extra_body={"variant_of": first})
        judge(server, completion_id=again, preferred=True, user=person)
        judge(server, completion_id=first, better_answer=f"Arr, {number} be a fine fish, savvy?", user=person)


def test_thumbs_become_a_version_that_answers_and_can_be_taken_back(tmp_path: Path):
    persona, settings = make_workshop(tmp_path)
    toml = settings.dir / persona.slug / "persona.toml"
    toml.write_text(toml.read_text(encoding="utf-8") + LITTLE, encoding="utf-8")
    where = {"PERSONAS_DIR": str(settings.dir), "PERSONAS_BASE_MODEL": str(settings.base_model)}
    command: Callable[..., Any] = partial(
        personas, data_dir=settings.data_dir, PERSONAS_DEVICE="cpu", PERSONAS_DTYPE="float32", **where
    )
    trained = command("train", "pirate", *FEW_STEPS, "--learning-rate", "5e-3", "--no-evaluation")
    assert trained.returncode == 0, trained.stderr
    assert command("promote", "pirate", "1", "--force").returncode == 0
    server_settings = {"base_model": str(settings.base_model), "dir": str(settings.dir), "device": "cpu"}
    with real_server(settings.data_dir, **server_settings) as server:
        let_people_judge(server)
        seen = command("retrain", "pirate", "--dry-run", "--json")
        counts = json.loads(seen.stdout)["counts"]
        assert counts["usable"] + counts["held_back"] == 16
        assert min(counts[kind] for kind in ("thumbs_up", "thumbs_down", "picks", "better_answers")) > 0
        retrained = command("retrain", "pirate", "--json", first=BRIEFLY)
        report = json.loads(retrained.stdout or "{}")
        assert retrained.returncode == 0, retrained.stderr[-3000:] + retrained.stdout
        assert (report["outcome"], report["version"]) == ("promoted", "pirate@2")
        assert {move["alias"]: move["to"] for move in report["moves"]} == {"champion": 2, "previous": 1}
        seconds_until_answered_by("pirate@2", server)
        assert command("rollback", "pirate", "--reason", "people complain").returncode == 0
        seconds_until_answered_by("pirate@1", server)
    assert "people complain" in command("versions", "pirate", "--events").stdout
    assert "It passed its gate" in command("show", "pirate@2").stdout
    assert "Traceback" not in server.log
