"""`personas serve` as a user starts it: a process of its own, on a free port, with the default model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.models.default_model import seed_default_model

READY_TIMEOUT_S = 240
PERSONAS = (sys.executable, "-m", "bot.cli")


@dataclass
class RealServer:
    """A running `personas serve`. `url` has no slash at its end; `log` is what it printed so far."""

    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"personas serve ended with {self.process.returncode}:\n{self.log}"
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"personas serve was not ready after {READY_TIMEOUT_S} s:\n{self.log}")

    def kill(self) -> None:
        """As the kernel would: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def real_server(
    data_dir: Path,
    *,
    program: Sequence[str] = PERSONAS,
    environment: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    **settings: str,
) -> Iterator[RealServer]:
    """Start it, wait until the model answers, and end it with SIGTERM.

    It computes in fp32 on every machine, because tests compare greedy replies.
    """
    port = free_port()
    names = {f"PERSONAS_{name.upper()}": value for name, value in settings.items()}
    ours = {"PERSONAS_PORT": str(port), "PERSONAS_DATA_DIR": str(data_dir), "PERSONAS_DTYPE": "float32"}
    environment = {**environment, **ours, **names}
    data_dir.mkdir(parents=True, exist_ok=True)
    if "base_model" not in settings:
        seed_default_model(data_dir)
    log_path = data_dir / "serve.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen([*program, "serve"], env=environment, cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
    server = RealServer(f"http://127.0.0.1:{port}", data_dir, process, log_path)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
