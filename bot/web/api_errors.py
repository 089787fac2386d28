"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}. Never a traceback, never a path."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from bot.chat.access import TooFast
from bot.web.api_paths import not_found_sentence
from core.errors import InvalidBlend, InvalidInput, NotFound, PersonasError, QueueFull

RETRY_AFTER_S = 5
UNEXPECTED = "Something went wrong on the server; its log says what. Try again."
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}  # others: invalid_request_error

logger = logging.getLogger(__name__)


class UnknownModel(NotFound):
    """A `model` that names no persona; OpenAI's clients know its code."""


class BadField(InvalidInput):
    """A field of a body that is not what it must be; OpenAI's clients are told its name."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param}: {reason}.")
        self.param = param


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
        if isinstance(error, BadField | InvalidBlend):
            param = error.param if isinstance(error, BadField) else "model"
            return error_response(error.http_status, str(error), param=param)
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
        is_plain = error.detail == HTTPStatus(error.status_code).phrase  # Starlette's own, which says nothing more
        if error.status_code == 404 and is_plain:
            return error_response(404, not_found_sentence(request.url.path), code="unknown_url")
        sentence = error.detail
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            sentence = f"{request.method} is not possible at {request.url.path[:200]}; use {allowed or 'another'}."
        return error_response(error.status_code, sentence, headers=error.headers)

    @app.exception_handler(Exception)
    async def on_unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return error_response(500, UNEXPECTED)  # Starlette raises it on, so uvicorn logs the traceback
