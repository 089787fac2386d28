"""`personas serve`: worker, web side, Discord and Slack in one process. Knows signals and sockets, no HTTP routes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rich.console import Console

from bot.commands.banner import print_banner
from bot.commands.chat_side import ChatSide
from bot.commands.descriptors import connections_for, raise_descriptor_limit
from bot.commands.discord_side import DiscordSide
from bot.commands.listening import listen
from bot.commands.output import make_console
from bot.commands.running import INTERRUPTED, import_aside, run_service
from bot.commands.slack_side import SlackSide
from bot.commands.trainer_side import run_trainer
from bot.service.service import Service
from bot.service.sources import SERVER_SOURCES
from bot.web.connections import ConnectionLimits
from bot.web.http_server import HttpServer
from core.loop_signals import calls_on
from core.settings import Settings

WEB_APP = "bot.web.app"  # brings Gradio, which takes seconds to import; a signal must not wait for it
STOPPING = "Stopping: running replies are finished first; Ctrl-C again stops at once."
LINGER_S = 1  # what a page that stays open gets once every reply has ended


def serve(arguments: argparse.Namespace, settings: Settings) -> int:
    with listen(settings.host, settings.port) as listener:
        return run_service(Server(settings, listener, make_console(is_error=True)).run())


class Server:
    """One run: up, model in the background, serving, drained. The first signal stops it gently, the second at once."""

    def __init__(self, settings: Settings, listener: socket.socket, console: Console) -> None:
        self._settings = settings
        self._listener = listener
        self._console = console
        self._stop_requested = asyncio.Event()
        self._service: Service | None = None
        self._sides: list[ChatSide[Any]] = []
        self._is_hurried = False

    async def run(self) -> int:
        """The exit status. Raises PersonasError when something could not be opened, loaded or kept running."""
        with calls_on(signal.SIGINT, signal.SIGTERM, call=self._on_signal):
            self._service = service = await Service.open(self._settings, sources=SERVER_SOURCES)
            try:
                await self._serve(service)
            finally:
                await service.stop()  # every front end has ended by now, so nothing uses the store any more
        return INTERRUPTED if self._is_hurried else 0

    async def _serve(self, service: Service) -> None:
        self._console.print(f"Loading the base model {self._settings.base_model} ...", markup=False)
        stopping = asyncio.create_task(self._stop_requested.wait())
        importing = asyncio.create_task(import_aside(WEB_APP))
        try:
            await asyncio.wait({importing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                self._console.print(STOPPING)
                return
            await importing
            await self._serve_until(stopping, service)
        finally:
            importing.cancel()
            stopping.cancel()

    async def _serve_until(self, stopping: asyncio.Task[bool], service: Service) -> None:
        sides = self._sides = [DiscordSide(service, self._console), SlackSide(service, self._console)]
        http = _open_http(service)
        serving = asyncio.create_task(http.serve([self._listener]))
        working = asyncio.create_task(self._work(service))
        talking = [asyncio.create_task(side.run()) for side in sides]
        talking.append(asyncio.create_task(run_trainer(self._settings)))
        try:
            await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                self._console.print(STOPPING)
            if not working.done():
                working.cancel()  # while the model loads; a worker that runs is drained below
            closing = [side.close() for side in sides]
            ends = await asyncio.gather(service.drain(), *closing, return_exceptions=True)
            for error in filter(None, ends):  # neither leaves before the other has ended
                raise error
        finally:
            for task in talking:
                task.cancel()
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it reports every page still open
            http.should_exit = True
            await asyncio.wait({serving, *talking})
        with suppress(asyncio.CancelledError):
            await working
        await serving

    async def _work(self, service: Service) -> None:
        await service.start()
        await print_banner(
            self._console,
            service,
            self._listener.getsockname(),
            chats=[(side.name, side.greeting) for side in self._sides],
        )
        await service.wait()

    def _on_signal(self) -> None:
        if self._stop_requested.is_set() and self._service is not None:
            self._is_hurried = True
            self._service.hurry()
            for side in self._sides:
                side.hurry()
        self._stop_requested.set()


def _open_http(service: Service) -> HttpServer:
    from bot.web.app import build_app

    share = connections_for(raise_descriptor_limit()) // 2
    limits = ConnectionLimits()
    limits = replace(limits, requests=min(limits.requests, share), waiting=min(limits.waiting, share))
    return HttpServer(build_app(service), limits, linger_s=LINGER_S)
