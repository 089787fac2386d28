"""The echo server in a process of its own, so that a test can measure it from outside.

`python -m tests.running.echo_process FOLDER` prints the server's URL and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.settings import ROOT
from tests.running.command import environment

MIB = 1024 * 1024


@dataclass
class EchoProcess:
    """A running server. `url` has no slash at its end."""

    url: str
    process: subprocess.Popen[str]

    @property
    def memory_mib(self) -> float:
        """What it holds in memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / MIB


@contextmanager
def echo_process(folder: Path) -> Iterator[EchoProcess]:
    """Start a server in this folder, and end it."""
    command = [sys.executable, "-m", "tests.running.echo_process", str(folder)]
    pipe = subprocess.PIPE
    with (
        (folder / "server.log").open("ab") as log,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=log, cwd=ROOT, env=environment(folder), text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, (folder / "server.log").read_text(encoding="utf-8")
            yield EchoProcess(url, process)
        finally:
            process.stdin.close()


async def _serve(folder: Path) -> None:
    from tests.running.serving import echo_server

    async with echo_server(folder) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
