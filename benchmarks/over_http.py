"""Systems that are spoken to over HTTP: requests sent when they arrive, tokens and times read off the stream.

Knows no system; how a request is worded and how an event is read comes from the caller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from benchmarks.systems import Reply, write_as_they_arrive
from benchmarks.workloads import Request

TIMEOUT_S = 600.0
DATA = "data: "
DONE = "[DONE]"


class HttpClient:
    """Writes all requests of a workload through one server, each on a connection of its own.

    `word` gives a request's JSON body, `read` the tokens that one event of the stream brings after so many.
    """

    def __init__(
        self,
        url: str,
        *,
        word: Callable[[Request], dict[str, Any]],
        read: Callable[[dict[str, Any], int], Sequence[int]],
    ) -> None:
        self._url = url
        self._word = word
        self._read = read
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=None))

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies, in the order of the requests. Raises RuntimeError with what the server says."""
        return self._runner.run(write_as_they_arrive(requests, self._write))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    async def _write(self, request: Request, now_s: Callable[[], float]) -> Reply:
        tokens: list[int] = []
        times: list[float] = []
        async with self._client.stream("POST", self._url, json=self._word(request)) as response:
            if response.is_error:
                raise RuntimeError(f"{self._url} answered {response.status_code}: {(await response.aread())[:500]!r}")
            async for line in response.aiter_lines():
                if not line.startswith(DATA) or line.endswith(DONE):
                    continue
                arrived_s = now_s()
                new = self._read(json.loads(line.removeprefix(DATA)), len(tokens))
                tokens.extend(new)
                times.extend([arrived_s] * len(new))
        return Reply(tuple(tokens), tuple(times))
