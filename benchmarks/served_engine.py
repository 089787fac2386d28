"""This project's engine as people reach it: `personas serve` in a process of its own, asked through its OpenAI API."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.over_http import HttpClient
from benchmarks.random_base import RandomBase, adapter_name, words_to_ids
from benchmarks.server_process import ServerProcess, free_port
from benchmarks.systems import Capacity, Reply
from benchmarks.workloads import Request
from core.base_names import base_slug

UNLIMITED = 100_000
PERSONA = 'name = "{name}"\ndescription = "Random."\ngreeting = "Hello."\n'


class ServedEngine:
    """The server on a free port, with one persona for each adapter. Its log lies in the benchmark's folder."""

    def __init__(self, base: RandomBase, capacity: Capacity) -> None:
        folder = base.folder / "served"
        for index, adapter in enumerate(base.adapter_folders):
            _write_persona(folder / "personas" / adapter_name(index), index, adapter, base_slug(str(base.model_folder)))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self._server = ServerProcess(
            [sys.executable, "-m", "bot.cli", "serve"],
            env=os.environ | _settings(base, capacity, folder, port),
            log=folder / "serve.log",
            ready_url=f"{url}/readyz",
        )
        self._client = HttpClient(f"{url}/v1/chat/completions", word=_word, read=_read)

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        return self._client.serve(requests)

    def close(self) -> None:
        self._client.close()
        self._server.close()


def _settings(base: RandomBase, capacity: Capacity, folder: Path, port: int) -> dict[str, str]:
    settings: dict[str, Any] = {
        "base_model": base.model_folder,
        "data_dir": folder / "data",
        "dir": folder / "personas",
        "dtype": base.dtype,
        "quantization": "none",
        "port": port,
        "slots": capacity.rows,
        "adapter_slots": base.adapters,
        "max_context_tokens": capacity.context_tokens,
        "user_messages_per_minute": UNLIMITED,
        "api_messages_per_minute": UNLIMITED,
        "channel_messages_per_minute": UNLIMITED,
    }
    return {f"PERSONAS_{name.upper()}": str(value) for name, value in settings.items()}


def _write_persona(folder: Path, index: int, adapter: Path, slug: str) -> None:
    folder.mkdir(parents=True)
    (folder / "persona.toml").write_text(PERSONA.format(name=f"Persona {index}"), encoding="utf-8")
    (folder / "system_prompt.md").write_text("user", encoding="utf-8")
    shutil.copytree(adapter, folder / "adapters" / slug)


def _word(request: Request) -> dict[str, Any]:
    message = {"role": "user", "content": request.message.content}
    asked = {"model": adapter_name(request.adapter), "messages": [message], "user": request.request_id}
    return asked | {"max_tokens": request.new_tokens, "temperature": 0, "repetition_penalty": 1.0, "stream": True}


def _read(event: dict[str, Any], seen: int) -> Sequence[int]:
    return words_to_ids("".join(choice["delta"].get("content") or "" for choice in event["choices"]))


def served_engine(base: RandomBase, capacity: Capacity) -> ServedEngine:
    return ServedEngine(base, capacity)
