"""Runs `personas trainer` beside `personas serve`, as a process of its own: a training must not slow a reply's loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress

from core.settings import PREFIX, Settings

RESTART_S = 60.0
STOP_S = 10.0

logger = logging.getLogger(__name__)


async def run_trainer(settings: Settings) -> None:
    """Keep a trainer running until cancelled, where the settings ask for one; it is stopped in good order then."""
    if not settings.trainer:
        return
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", "trainer", env={**os.environ, f"{PREFIX}BASE_MODEL": settings.base_model}
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        logger.warning("The trainer ended with status %d; it is started again in a minute", status)
        await asyncio.sleep(RESTART_S)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """A training that is stopped goes on from its checkpoint the next time."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
