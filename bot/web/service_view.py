"""What the web side needs of the running service, and what it asks about models. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.chat.responder import Responder
from core.adapters.registry import RegisteredAdapter, Registry
from core.blends import Blend
from core.engine.base import Engine
from core.personas import Persona
from core.queue.protocol import JobQueue
from core.settings import Settings
from core.store.db import Store
from core.worker.worker import Worker


class Service(Protocol):
    """The parts that `bot.service.service.Service` builds. They are only read, and are here before the model is."""

    @property
    def settings(self) -> Settings: ...
    @property
    def personas(self) -> Mapping[str, Persona]: ...
    @property
    def store(self) -> Store: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def queue(self) -> JobQueue: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def worker(self) -> Worker: ...
    @property
    def responder(self) -> Responder: ...

    @property
    def default_persona(self) -> str: ...

    @property
    def model_problem(self) -> str | None:
        """Why the model cannot answer yet (it still loads, or could not be loaded), as a sentence; None when it can."""


async def champions(service: Service, blend: Blend) -> list[RegisteredAdapter]:
    """The adapter versions that answer for a blend now, the heaviest first; personas without one are left out."""
    async with service.store.read() as session:
        slugs = [part.slug for part in blend.parts]
        found = await service.registry.champions(session, slugs, service.settings.base_slug)
    return [found[slug] for slug in slugs if slug in found]
