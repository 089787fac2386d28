"""A persona as people and operators meet it: `personas serve` answers over HTTP, `personas retrain` learns."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.server_process import becomes_ready, free_port

PERSONAS = (sys.executable, "-m", "bot.cli")
ANSWER_TIMEOUT_S = 3600.0
MAX_TOKENS = 80
OUTCOME = ("outcome", "sentence", "counts", "held_back", "version", "gate")


class PersonaApi:
    """One persona behind the API of a server that `client` knows."""

    def __init__(self, client: httpx.AsyncClient, slug: str) -> None:
        self._client = client
        self._slug = slug

    async def ask(self, text: str, user: str, **more: Any) -> tuple[str, str]:
        """(completion id, reply) to a first message of this user. `more` are fields of the request."""
        messages = [{"role": "user", "content": text}]
        body = {"model": self._slug, "messages": messages, "user": user, "max_tokens": MAX_TOKENS}
        answer = await self._post("/v1/chat/completions", body | more)
        return answer["id"], answer["choices"][0]["message"]["content"]

    async def judge(self, completion_id: str, user: str, **said: Any) -> None:
        """Send feedback: `said` are its fields, such as `label`."""
        await self._post("/v1/feedback", {"completion_id": completion_id, "user": user} | said)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        response = await self._client.post(path, json=body)
        response.raise_for_status()
        return response.json()


def retrain(arguments: argparse.Namespace, *more: str) -> Any:
    """What `personas retrain` reports. Status 1 is a refusal, which is reported, too."""
    line = [*PERSONAS, "retrain", arguments.persona, "--no-cool-down", "--min-feedback", "1", "--json", *more]
    done = subprocess.run([*line, *(["--force"] if arguments.force else [])], stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def outcome_of(report: dict[str, Any]) -> dict[str, Any]:
    """What a benchmark keeps of a report of `retrain`."""
    return {key: report[key] for key in OUTCOME}


@contextmanager
def serving() -> Iterator[str]:
    """`personas serve` on a free port, ended in good order; its URL."""
    port = free_port()
    process = subprocess.Popen([*PERSONAS, "serve"], env={**os.environ, "PERSONAS_PORT": str(port)}, stdout=sys.stderr)  # noqa: S603
    try:
        url = f"http://127.0.0.1:{port}"
        if not becomes_ready(process, f"{url}/readyz"):
            raise SystemExit("personas serve did not become ready; its lines above say why.")
        yield url
    finally:
        process.terminate()
        process.wait()
