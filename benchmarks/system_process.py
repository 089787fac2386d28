"""Runs a system in a process of its own, so that no system slows another by its threads, heap or caches.

Idle systems sleep. Knows what a system is, and not which ones there are.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection

import psutil
from transformers.utils import logging as transformers_logging

from benchmarks.random_base import RandomBase
from benchmarks.systems import Capacity, Served, SystemKind
from benchmarks.workloads import Request

# The heavy imports happen once, in the server that the systems' processes are forked from.
START_METHOD = "forkserver"
PRELOADED = ["benchmarks.own_engine", "benchmarks.peers_continuous", "benchmarks.peers_generate"]


class SystemFailed(Exception):
    """A system raised; the message is its traceback."""


class SystemProcess:
    """One running system. `serve` waits for its replies."""

    def __init__(self, kind: SystemKind, base: RandomBase, capacity: Capacity) -> None:
        self.kind = kind
        context = multiprocessing.get_context(START_METHOD)
        context.set_forkserver_preload(PRELOADED)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(kind, base, capacity, theirs), name=kind.name)
        self._process.start()
        theirs.close()

    def wait_until_built(self) -> None:
        """Raises SystemFailed when the system could not be built."""
        self._receive()

    def serve(self, requests: Sequence[Request]) -> Served:
        """Have the system write the replies to a workload. Raises SystemFailed."""
        self._connection.send(list(requests))
        return self._receive()

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # a system that failed has said so already
            self._connection.send(None)
        self._process.join()
        self._connection.close()

    def _receive(self) -> Served:
        try:
            answer: Served | str = self._connection.recv()
        except EOFError:
            raise SystemFailed(f"The process of {self.kind.name} ended without a word.") from None
        if isinstance(answer, str):
            raise SystemFailed(f"{self.kind.name} failed.\n{answer}")
        return answer


class SideBySide:
    """Running systems. One that fails is taken out, and `say` is told; without the `needed` one nothing is measured."""

    def __init__(self, systems: Sequence[SystemProcess], needed: str, say: Callable[[str], None]) -> None:
        self.systems = list(systems)
        self._needed = needed
        self._say = say

    def wait_until_built(self) -> None:
        """Raises SystemFailed for the needed one."""
        for system in tuple(self.systems):
            self._try(system, system.wait_until_built)

    def serve(self, system: SystemProcess, requests: Sequence[Request]) -> Served | None:
        """What a system took for a workload; None where it failed. Raises SystemFailed for the needed one."""
        return self._try(system, partial(system.serve, requests))

    def close(self) -> None:
        """End all processes."""
        while self.systems:
            self.systems.pop().close()

    def _try(self, system: SystemProcess, do: Callable[[], Served | None]) -> Served | None:
        try:
            return do()
        except SystemFailed as error:
            if system.kind.name == self._needed:
                raise
            self.systems.remove(system)
            system.close()
            why = str(error).strip().splitlines()[-1]
            self._say(f"From here on without {system.kind.name}, which failed ({why}).")
            return None


def _run(kind: SystemKind, base: RandomBase, capacity: Capacity, connection: Connection) -> None:
    """The system's process: build, then serve workloads until None comes."""
    # What the libraries say to their users is no part of a measurement's output.
    transformers_logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    try:
        with contextlib.closing(kind.build(base, capacity)) as system:
            connection.send(Served([], *_used()))
            while (requests := connection.recv()) is not None:
                gc.collect()
                cpu_before_s, _ = _used()
                replies = system.serve(requests)
                cpu_s, memory_bytes = _used()
                connection.send(Served(replies, cpu_s - cpu_before_s, memory_bytes))
    except Exception:
        connection.send(traceback.format_exc())


def _used() -> tuple[float, int]:
    """Processor time in seconds and resident bytes of this process and those it started."""
    here = psutil.Process()
    processes = [here, *here.children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times), sum(each.memory_info().rss for each in processes)
