"""Cancels a task at exactly one of its awaits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


async def is_cut_at(step: int, work: Coroutine[Any, Any, object]) -> bool:
    """Run this as a task that is cancelled at its await number `step`, from 0. False when it ends before that."""

    async def cut() -> bool:  # a task's work is no generator since Python 3.12
        return await _cut(step, work)

    task = asyncio.create_task(cut())
    try:
        await task
    except asyncio.CancelledError:
        return True
    return task.result()


@types.coroutine
def _cut(step: int, work: Coroutine[Any, Any, object]) -> Generator[Any, Any, bool]:
    """Drives `work` as its task would, and looks in at every await."""
    awaits = 0
    resume, value = work.send, None
    while True:
        try:
            waiter = resume(value)
        except StopIteration:
            return awaits > step
        if awaits == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        awaits += 1
        try:
            value = yield waiter
            resume = work.send
        except BaseException as error:
            resume, value = work.throw, error
