"""`personas serve` as a user starts it: a process of its own, on a free port, with the default model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.models.default_model import seed_default_model
from tests.running.warm_process import start_process

READY_TIMEOUT_S = 240


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
        with httpx.Client(timeout=5, verify=False) as client:  # each would read all certificates
            while time.monotonic() < deadline:
                assert self.process.poll() is None, f"personas serve ended with {self.process.returncode}:\n{self.log}"
                with suppress(httpx.TransportError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
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
    program: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    **settings: str,
) -> Iterator[RealServer]:
    """Start it, wait until the model answers, and end it with SIGTERM.

    It computes in fp32 on every machine, because tests compare greedy replies. Without a program, it is this project's,
    in a process that has imported everything already.
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
        options: dict[str, Any] = {"env": environment, "cwd": cwd, "stdout": log, "stderr": subprocess.STDOUT}
        if program is None:
            process = start_process(["-m", "bot.cli", "serve"], **options)
        else:
            process = subprocess.Popen([*program, "serve"], **options)
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
