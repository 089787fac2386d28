"""A request's body as a checked record. Knows no routes."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bot.web.openai_fields import Strict
from core.outside_files import BOM

SMALL_BODY_BYTES = 16 * 1024  # judged in a millisecond or two

Body = TypeVar("Body", bound=Strict)


class BodyReader:
    """Reads bodies. A large one is judged aside, one after another, so that everybody else is served in between."""

    def __init__(self) -> None:
        self._judging = asyncio.Lock()

    async def read(self, request: Request, kind: type[Body]) -> Body:
        """The body as a record. Whatever content type the client claims, it must be JSON in UTF-8, not compressed.

        Raises HTTPException and pydantic's ValidationError.
        """
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise HTTPException(
                415,
                "The request's body is compressed (Content-Encoding), which is not understood here; send it as it is.",
            )
        text = (await request.body()).removeprefix(BOM)
        if len(text) <= SMALL_BODY_BYTES:
            return kind.model_validate_json(text)
        async with self._judging:
            return await asyncio.to_thread(kind.model_validate_json, text)
