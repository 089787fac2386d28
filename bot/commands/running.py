"""Runs a command that has a service in it, to an orderly end of the process. Knows no service."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from functools import partial
from importlib import import_module
from typing import Any

from core.daemon_thread import in_daemon_thread

INTERRUPTED = 130  # 128 and SIGINT's number, as shells count
ENGINE_THREAD, IMPORT_THREAD = "engine", "import"


def run_service(main: Coroutine[Any, Any, int]) -> int:
    """`asyncio.run`; 130 for Ctrl-C.

    A model that still loads when everything else is closed is left behind: its thread is inside torch, which aborts
    the process when the interpreter shuts down beneath it, and waiting could take as long as a download. So is an
    import that goes on.
    """
    try:
        status = asyncio.run(main)
    except KeyboardInterrupt:
        status = INTERRUPTED
    if any(thread.name in (ENGINE_THREAD, IMPORT_THREAD) and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


async def import_aside(module: str) -> None:
    """Import a module that takes seconds, while the event loop goes on. Cancelling this leaves the import behind."""
    await in_daemon_thread(IMPORT_THREAD, partial(import_module, module))
