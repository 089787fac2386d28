"""A server under measurement, in a process of its own on a free port of this machine. Knows no system."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

READY_TIMEOUT_S = 600.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def becomes_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the URL answers that all is well; False where the process ends before, or takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).is_success:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    return False


class ServerProcess:
    """Started and ready once it is built. Raises RuntimeError with the end of its log, which is written to `log`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], log: Path, ready_url: str) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("wb")
        self._process = subprocess.Popen(  # noqa: S603 - what a benchmark starts is its own
            list(command), env=dict(env), stdout=self._log, stderr=subprocess.STDOUT
        )
        if not becomes_ready(self._process, ready_url):
            self.close()
            raise RuntimeError(f"{command[0]} was not ready:\n{log.read_text(encoding='utf-8')[-4000:]}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
