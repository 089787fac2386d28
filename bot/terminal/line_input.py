"""Where a terminal chat's lines come from: a line editor with thumb keys, or a pipe or file. Knows no service."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application.run_in_terminal import in_terminal
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from core.errors import InvalidInput
from core.outside_files import BOM

MAX_LINE_BYTES = 4 * 1024 * 1024
TOO_LONG = f"A line of the input is longer than {MAX_LINE_BYTES} bytes; send less."

Judge = Callable[[bool], Awaitable[None]]


async def edited_lines(judge: Judge) -> AsyncGenerator[str]:
    """Lines typed in a terminal, until Ctrl-D. Ctrl-C empties the line. The thumb keys call `judge` in between."""
    editor: PromptSession[str] = PromptSession(key_bindings=_thumb_keys(judge))
    while True:
        try:
            yield await editor.prompt_async("you> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


async def piped_lines() -> AsyncGenerator[str]:
    """Lines of a pipe or a file on standard input. Raises InvalidInput for what is not UTF-8 text, or too long."""
    number = 0
    async for line in _raw_lines():
        number += 1
        line = line if number > 1 else line.removeprefix(BOM)
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"Line {number} of the input is not UTF-8 text (byte {error.start}); save it as UTF-8."
            ) from error


async def _raw_lines() -> AsyncIterator[bytes]:
    if not _is_pipe():
        while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):  # a file never makes anybody wait
            if len(line) > MAX_LINE_BYTES:
                raise InvalidInput(TOO_LONG)
            yield line
        return
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        while line := await reader.readline():
            yield line
    except ValueError as error:
        raise InvalidInput(TOO_LONG) from error
    finally:
        transport.close()


def _is_pipe() -> bool:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _thumb_keys(judge: Judge) -> KeyBindings:
    """F9 or Alt-Up is a thumb up, F10 or Alt-Down a thumb down; what is being typed stays."""
    keys = KeyBindings()

    def give(event: KeyPressEvent, label: bool) -> None:
        async def print_above() -> None:
            async with in_terminal():
                await judge(label)

        event.app.create_background_task(print_above())

    for sequence in (("f9",), ("escape", "up")):
        keys.add(*sequence)(lambda event: give(event, True))
    for sequence in (("f10",), ("escape", "down")):
        keys.add(*sequence)(lambda event: give(event, False))
    return keys
