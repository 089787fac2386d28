"""The one ASGI app on one port: health, metrics, the OpenAI-compatible API and the playground.

It may be built and served before the model is loaded; /readyz says when it is.
"""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import select
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.web.api_errors import install_error_handlers, sentence_of
from bot.web.api_paths import API_PATH
from bot.web.body_gate import BodyGate
from bot.web.body_rest import BodyRest
from bot.web.cors import AllowedOrigins, ApiCors
from bot.web.guards import BrowserGuard, KeyGuard, MisplacedApi, SafeHeaders
from bot.web.late_requests import LateRequests
from bot.web.login import Login, login_router
from bot.web.metrics import Metrics
from bot.web.openai_api import build_api
from bot.web.playground import mount_playground
from bot.web.service_view import Service
from bot.web.versions_page import versions_router
from bot.web.wrong_keys import WrongKeys
from core.errors import PersonasError

PROBES = ["GET", "HEAD"]  # load balancers ask without wanting a body


def build_app(service: Service) -> FastAPI:
    """Everything that is served over HTTP. Reads `service`, and neither starts nor stops it."""
    app = FastAPI(title="Plug-and-Play Personas", openapi_url=None, docs_url=None, redoc_url=None)
    install_error_handlers(app)
    metrics = Metrics(service.store, service.queue, service.engine)

    @app.api_route("/healthz", methods=PROBES)
    async def is_alive() -> Response:
        return JSONResponse({"status": "ok"})

    @app.api_route("/readyz", methods=PROBES)
    async def is_ready() -> Response:
        reason = await not_ready_reason(service) or playground.problem
        if reason is not None:
            return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ready", "base_model": service.settings.base_model})

    @app.api_route("/metrics", methods=PROBES)
    async def scrape() -> Response:
        return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)

    api = build_api(service, metrics)
    app.mount(API_PATH, api)
    app.router.routes.append(Route(API_PATH, api))  # a mount answers only below its path
    app.include_router(versions_router(service))
    # The last middleware added sees a request first.
    app.add_middleware(MisplacedApi)
    app.add_middleware(BodyGate)
    key = service.settings.api_key
    if key is not None:
        login = Login(key.get_secret_value())
        wrong_keys = WrongKeys()
        app.include_router(login_router(login, wrong_keys))
        app.add_middleware(KeyGuard, login=login, wrong_keys=wrong_keys)
    allowed = AllowedOrigins(service.settings.allowed_web_origins)
    app.add_middleware(BrowserGuard, is_loopback_only=key is None, allowed=allowed)
    app.add_middleware(ApiCors, allowed=allowed)
    app.add_middleware(BodyRest)
    app.add_middleware(SafeHeaders)
    app.add_middleware(LateRequests)
    # At "/", so it comes after every other route.
    playground = app.state.playground = mount_playground(app, service, metrics)
    return app


async def not_ready_reason(service: Service) -> str | None:
    """Why a reply cannot be written now; None when it can."""
    if service.model_problem is not None:
        return service.model_problem
    if not service.worker.is_healthy:
        return "The worker has stopped; restart the server, and see its log for the cause."
    try:
        async with service.store.read() as session:
            await session.execute(select(1))
        problem: PersonasError | None = await service.store.problem()
    except PersonasError as error:
        problem = error
    return None if problem is None else sentence_of(problem)
