"""Processes that a warm Python forks. They are Popen objects: only their start differs, which takes no time."""

from __future__ import annotations

import json
import os
import select
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from core.settings import ROOT
from tests.running.warm_python import STREAMS, TESTS, Request

VARIABLE = "WARM_PYTHON_OF_TESTS"  # the folder in which the warm Python of these tests listens
Kind = Literal["light", "heavy", "tests"]
# What xdist starts as a Python for tests.
FORKED_PYTHON = shlex.join([sys.executable, "-m", "tests.running.warm_process"])


@contextmanager
def warm_python(options: Sequence[str] = ()) -> Iterator[None]:
    """Within the block, processes of these tests, and of tests beside them, are forked where this system can.

    `options` are pytest's, for those that run tests themselves.
    """
    if VARIABLE in os.environ or not hasattr(os, "pidfd_open"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        environment = {**os.environ, VARIABLE: folder, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "tests.running.warm_python", folder, *options]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def start_process(arguments: Sequence[str], *, kind: Kind = "heavy", **options: Any) -> subprocess.Popen[Any]:
    """Start Python with these arguments, of a kind that has already imported what it needs. Options are Popen's."""
    if VARIABLE not in os.environ:
        return subprocess.Popen([sys.executable, *arguments], **options)
    return WarmProcess(arguments, kind, **options)


class WarmProcess(subprocess.Popen[Any]):
    """Popen's own methods work as ever; three of its inner ones, which start a process and learn of its end, do not.

    Here a socket does that: the process is a child of the warm Python.
    """

    def __init__(self, arguments: Sequence[str], kind: Kind, **options: Any) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._kind = kind
        super().__init__([sys.executable, *arguments], **options)

    def _execute_child(
        self, args: list[str], executable: Any, preexec: Any, closes: Any, keeps: Any, cwd: Any, env: Any, *more: Any
    ) -> None:
        pipes, starts_session = more[3:9], more[14]
        folder = Path(os.environ[VARIABLE])
        environment = dict(os.environ if env is None else env)
        request = Request(args[1:], environment, None if cwd is None else str(cwd), starts_session)
        ends = zip((pipes[0], pipes[3], pipes[5]), STREAMS, strict=True)  # the child's
        streams = [standard if end == -1 else end for end, standard in ends]
        self._connection.connect(str(folder / self._kind))
        socket.send_fds(self._connection, [json.dumps(asdict(request)).encode()], streams)
        answer = self._connection.recv(100)
        assert answer, (folder / "log").read_text(encoding="utf-8", errors="replace")
        self.pid = int(answer)
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, _deadstate: Any = None, **_: Any) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._read_status()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._read_status()
        return self.returncode

    def _read_status(self) -> None:
        with self._connection as connection:
            self.returncode = int(connection.recv(100))


if __name__ == "__main__":
    streams, *arguments = sys.argv[1:]
    assert streams == "-u"  # the warm Python's are unbuffered anyway
    sys.exit(start_process(arguments, kind=TESTS, cwd=Path.cwd()).wait())
