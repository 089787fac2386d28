"""A request's body as a checked record. Knows no routes."""

from __future__ import annotations

from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bot.web.openai_fields import Strict

Body = TypeVar("Body", bound=Strict)


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The body as a record. Whatever content type the client claims, it must be JSON in UTF-8, and not compressed.

    Raises HTTPException and pydantic's ValidationError.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise HTTPException(
            415, "The request's body is compressed (Content-Encoding), which is not understood here; send it as it is."
        )
    return kind.model_validate_json(await request.body())
