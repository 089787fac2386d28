"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}. Never a traceback, never a path."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from bot.chat.access import TooFast
from core.errors import NotFound, PersonasError, QueueFull

RETRY_AFTER_S = 5
UNEXPECTED = "Something went wrong on the server; its log says what. Try again."
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}

logger = logging.getLogger(__name__)


class UnknownModel(NotFound):
    """A `model` that names no persona; OpenAI's clients know its code."""


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, object]:
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(error_body(status, message, param=param, code=code), status_code=status, headers=headers)


def sentence_of(error: PersonasError) -> str:
    """What a client is told. A sentence that may name the server's files goes to the log instead."""
    if error.public is not None:
        logger.warning("%s", error)
    return error.public_sentence


def _retry_after(error: PersonasError) -> dict[str, str] | None:
    if isinstance(error, TooFast):
        return {"Retry-After": str(ceil(error.retry_s))}
    return {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, QueueFull) else None


def install_error_handlers(app: FastAPI) -> None:
    """Let every error of the app, expected or not, leave it in OpenAI's shape."""

    @app.exception_handler(PersonasError)
    async def on_personas_error(_request: Request, error: PersonasError) -> JSONResponse:
        if isinstance(error, UnknownModel):
            return error_response(error.http_status, str(error), param="model", code="model_not_found")
        return error_response(error.http_status, sentence_of(error), headers=_retry_after(error))

    @app.exception_handler(ValidationError)
    async def on_bad_body(_request: Request, error: ValidationError) -> JSONResponse:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        if first["type"] == "json_invalid":
            return error_response(400, f"The request's body is not valid JSON in UTF-8: {reason}.")
        return error_response(400, f"{param}: {reason}." if param else f"{reason}.", param=param or None)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        messages = {
            404: f"There is nothing at {request.url.path[:200]}; see /v1/models and /v1/chat/completions.",
            405: f"{request.method} is not possible at {request.url.path[:200]}.",
        }
        return error_response(error.status_code, messages.get(error.status_code, error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    async def on_unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return error_response(500, UNEXPECTED)  # Starlette raises it on, so uvicorn logs the traceback
