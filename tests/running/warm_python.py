"""A Python that has imported the program once and forks a process for each command: starting one costs no imports.

`python -m tests.running.warm_python FOLDER [OPTION...]` listens in FOLDER until its standard input ends;
`warm_process.py` asks it. It imports nothing before the first request. Of the kinds, "light" has what needs no model,
"heavy" has all, and "tests" has read the tests that pytest finds with these options, for processes that run them.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

LIGHT = (
    *("bot.cli", "bot.commands.data", "bot.commands.database", "bot.commands.doctor", "bot.commands.feedback"),
    *("bot.commands.listing", "bot.commands.new", "bot.commands.versions", "bot.service.service"),
)
HEAVY = (
    *("bot.commands.chat", "bot.commands.evaluate", "bot.commands.retrain", "bot.commands.serve", "bot.commands.train"),
    *("bot.discord_chat.client", "bot.slack_chat.client", "bot.terminal.chat", "bot.web.app"),
    *("core.engine.transformers_engine", "training.learn", "training.sft", "transformers.models.llama.modeling_llama"),
)
MODULES = {"light": LIGHT, "heavy": (*LIGHT, *HEAVY)}
TESTS = "tests"
KINDS = (*MODULES, TESTS)
STREAMS = (0, 1, 2)  # input, output and errors
LARGEST_REQUEST = 1 << 17  # bytes
# Said by the program before it imports the Hugging Face libraries, which look only then.
QUIET = {"HF_HUB_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}


@dataclass(frozen=True)
class Request:
    """What a process is to be: Python's arguments and the process's environment, folder and session."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str | None
    is_session_leader: bool


@dataclass(frozen=True)
class Running:
    """A process, and where its exit status goes."""

    pid: int
    asked_by: socket.socket | None


class WarmPython:
    """Forks for whoever connects, and tells them the process's number and, when it has ended, its status."""

    def __init__(self, listeners: dict[str, socket.socket], options: Sequence[str]) -> None:
        self._listeners = listeners
        self._options = options  # pytest's
        self._running: dict[int, Running] = {}  # by the file descriptor that is readable once the process has ended
        self._is_warm = False

    def serve(self) -> Request | None:
        """In a forked process: what it is to run. In this one: None, once nobody needs it any more."""
        while True:
            readable, _, _ = select.select([0, *self._listeners.values(), *self._running], [], [])
            if 0 in readable:
                return self._wait_for_the_warm()
            for descriptor in self._running.keys() & set(readable):
                self._tell_status(descriptor)
            for kind in [kind for kind, listener in self._listeners.items() if listener in readable]:
                if self._is_warm:
                    if (request := self._fork_for(self._listeners[kind])) is not None:
                        return request
                elif self._fork_warm(kind):
                    break

    def _wait_for_the_warm(self) -> None:
        """They read the same input."""
        for running in self._running.values():
            if running.asked_by is None:
                os.waitpid(running.pid, 0)

    def _fork_warm(self, kind: str) -> bool:
        """Leave this kind of requests to a process that has the imports; True in that process."""
        listener = self._listeners.pop(kind)
        if pid := os.fork():
            self._running[os.pidfd_open(pid)] = Running(pid, None)
            listener.close()
            return False
        self._forget_the_others()
        self._listeners, self._is_warm = {kind: listener}, True
        gc.disable()
        if kind == TESTS:
            read_tests(self._options)
        else:
            os.environ.update(QUIET)
            for module in MODULES[kind]:
                import_module(module)
        gc.enable()
        gc.collect()
        gc.freeze()  # so that no collection in a fork touches, and copies, what is shared
        return True

    def _fork_for(self, listener: socket.socket) -> Request | None:
        connection, _ = listener.accept()
        data, streams, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, len(STREAMS))
        if pid := os.fork():
            for stream in streams:
                os.close(stream)
            connection.send(str(pid).encode())
            self._running[os.pidfd_open(pid)] = Running(pid, connection)
            return None
        connection.close()
        self._forget_the_others()
        for stream, standard in zip(streams, STREAMS, strict=True):
            os.dup2(stream, standard)
            os.close(stream)
        return Request(**json.loads(data))

    def _tell_status(self, descriptor: int) -> None:
        running = self._running.pop(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(running.pid, 0)
        if running.asked_by is not None:
            with running.asked_by as connection, suppress(OSError):  # who asked may be gone
                connection.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _forget_the_others(self) -> None:
        """In a forked process: what only the one that forked it needs."""
        for listener in self._listeners.values():
            listener.close()
        for descriptor, running in self._running.items():
            os.close(descriptor)
            if running.asked_by is not None:
                running.asked_by.close()
        self._listeners, self._running = {}, {}


def read_tests(options: Sequence[str]) -> None:
    """Let pytest import all that it will run. What cannot be imported fails once more where it is to run."""
    import pytest

    pytest.main([*options, "--collect-only", "-q", "-n0"])


def run(request: Request) -> None:
    """Run `-m bot.cli ...` or `-c CODE ...` as Python would."""
    if request.is_session_leader:
        os.setsid()
    os.environ.clear()
    os.environ.update(request.environment)
    if request.folder is not None:
        os.chdir(request.folder)
    option, what, *rest = request.arguments
    if option == "-c":
        sys.argv = ["-c", *rest]
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(what, "<string>", "exec"), names)
    else:
        assert (option, what) == ("-m", "bot.cli")
        from bot import cli

        sys.argv = [cli.__file__, *rest]
        sys.exit(cli.main())


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(100)
    return listener


if __name__ == "__main__":
    _, folder, *options = sys.argv
    request = WarmPython({kind: _listen(Path(folder) / kind) for kind in KINDS}, options).serve()
    if request is not None:
        run(request)
