"""The HTTP server that every front end of the web side runs on: uvicorn, with limits. Knows no routes, no signals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from bot.web.connections import ConnectionLimits, Connections, RequestLimit

BACKLOG = 128  # asyncio accepts as many at a time, and complains as often where no descriptor is left


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: who runs it decides what a signal means."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, *, linger_s: int) -> None:
        """`linger_s` is what a page that stays open gets when the server ends."""
        super().__init__(
            uvicorn.Config(
                RequestLimit(app, limits.requests),
                http=cast("Any", Connections(limits)),
                ws="none",
                log_config=None,
                access_log=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=linger_s,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
