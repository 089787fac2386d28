"""The composition root: builds store, registry, queue, engine, worker and responder from the settings, and ends them.

Knows no front end; `personas serve`, `personas chat` and the tests each put theirs on top.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bot.chat.responder import Responder
from bot.service.process_lock import ProcessLock
from bot.service.retention import keep_erasing
from bot.service.sources import CHAT_SOURCES, SERVER_SOURCES
from bot.service.storage import Storage, open_storage
from core.adapters.folders import AdapterFolders, RegisteredFolders
from core.adapters.registry import Registry
from core.engine.base import Engine
from core.engine.deferred_engine import DeferredEngine
from core.errors import EngineFailed, PersonasError
from core.personas import Persona
from core.queue.memory import MemoryJobQueue
from core.settings import Settings
from core.store import exchanges
from core.store.db import Store
from core.worker.champion_watch import ChampionWatch
from core.worker.refusal import refuse_waiting
from core.worker.rollout_watch import RolloutWatch
from core.worker.worker import Worker

if TYPE_CHECKING:
    from core.engine.loading import LoadedBase

CRASHED = "The program ended before this reply was finished; send the message again."
ENGINE_STOPPED = "The engine failed again and again and has stopped; see the log above for the cause, and start again."
LOADING = "The base model {} is loading; questions are answered once it is there."
NOT_LOADED = "The model could not be loaded, so nothing can be answered; the operator finds the cause in the log."
STOPPING = "The service is stopping and takes no new messages; try again in a minute."
STOPPED = "The service was stopped before this reply was finished; send the message again."
HEALTH_CHECK_S = 1.0

logger = logging.getLogger(__name__)


class NotReady(PersonasError):
    """Nothing is answered any more: the model could not be loaded, or the service stops."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the base model turned out to be, for people to read."""

    device: str
    dtype: str
    quantization: str


class Service:
    """Everything behind the front ends, in one process: `open` it, `start` its model, `stop` it."""

    def __init__(self, storage: Storage, engine: Engine | None, lock: ProcessLock, resources: AsyncExitStack) -> None:
        """Use `open`."""
        settings = storage.settings
        self._storage = storage
        self._lock = lock
        self._resources = resources
        self.default_persona = storage.default_persona
        self.model_facts: ModelFacts | None = None
        folders = RegisteredFolders(storage.store, storage.registry)
        self.engine: Engine = engine or DeferredEngine(lambda: _local_engine(settings, folders, self._note_facts))
        self.queue = MemoryJobQueue(settings.queue_size)
        self.worker = Worker(self.queue, self.engine, self.store, drain_timeout_s=settings.drain_timeout_s)
        self._responder = Responder(
            personas=self.personas,
            store=self.store,
            registry=self.registry,
            queue=self.queue,
            base_model_slug=settings.base_slug,
            max_new_tokens=settings.max_new_tokens,
            default_persona=self.default_persona,
            reply_timeout_s=settings.reply_timeout_s,
        )
        self._problem: str | None = LOADING.format(settings.base_model)
        self._refusal: str | None = None
        self._working: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []  # what runs beside the worker
        self._is_drained = self._is_stopped = False

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        engine: Engine | None = None,
        sources: Collection[str] = SERVER_SOURCES + CHAT_SOURCES,
    ) -> Self:
        """Everything but the model. Exchanges that a crash left unfinished are settled.

        `engine` replaces the in-process one; `sources` are those whose exchanges are written here. Raises what
        `open_storage` raises, and InvalidSetting.
        """
        resources = AsyncExitStack()
        try:
            lock = resources.enter_context(ProcessLock(settings.data_dir, sources))
            storage = await resources.enter_async_context(open_storage(settings))
            service = cls(storage, engine, lock, resources)
            if count := await service._fail_unfinished(CRASHED):
                logger.warning("Replies that an earlier run left unfinished: %d, now marked as failed", count)
        except BaseException:
            await resources.aclose()
            raise
        return service

    @property
    def settings(self) -> Settings:
        return self._storage.settings

    @property
    def personas(self) -> Mapping[str, Persona]:
        return self._storage.personas

    @property
    def store(self) -> Store:
        return self._storage.store

    @property
    def registry(self) -> Registry:
        return self._storage.registry

    @property
    def responder(self) -> Responder:
        """Who takes messages, also while the model still loads. Raises NotReady when nothing will be answered."""
        if self._refusal is not None:
            raise NotReady(self._refusal)
        return self._responder

    @property
    def model_problem(self) -> str | None:
        """Why the model cannot answer yet or any more, as a sentence; None when it can."""
        return self._problem

    async def start(self) -> None:
        """Let the worker load the model and begin.

        Raises NotFound, InvalidSetting or EngineFailed for a model that could not be loaded; the waiting were told.
        """
        self._working = asyncio.create_task(self.worker.run())
        try:
            await self._until_ready(self._working)
        except Exception as error:  # whatever it was, nobody may wait for this model any longer
            await self._give_up(error)
            raise
        champions = ChampionWatch(self.store, self.registry, self.engine, self.personas, self.settings.base_slug)
        shadow = self.worker.shadow
        rollouts = RolloutWatch(self.store, self.registry, self.personas, self.settings.base_slug, shadow)
        erasing = keep_erasing(self.store, keep_text_days=self.settings.keep_text_days)
        self._beside = [asyncio.create_task(work) for work in (champions.run(), rollouts.run(), erasing)]
        self._problem = None

    async def _until_ready(self, working: asyncio.Task[None]) -> None:
        ready = asyncio.create_task(self.worker.is_ready.wait())
        try:
            await asyncio.wait({working, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if working.done():
            working.result()  # raises what loading raised
            raise NotReady(STOPPING)

    async def _give_up(self, error: Exception) -> None:
        """No worker will ever take a job: tell those who wait, and all who come later."""
        self._problem = str(error) if isinstance(error, PersonasError) else NOT_LOADED
        self._refusal = self._refusal or NOT_LOADED
        await refuse_waiting(self.queue, self.store, NotReady(self._refusal))
        await self.queue.close()

    async def wait(self) -> None:
        """Return when the worker has stopped. Raises what broke it, and EngineFailed once the engine has stopped."""
        working = self._working
        while working is not None and not working.done():
            await asyncio.wait({working}, timeout=HEALTH_CHECK_S)
            if not working.done() and not self.engine.is_healthy:
                raise EngineFailed(ENGINE_STOPPED)
        if working is not None:
            working.result()

    async def drain(self) -> None:
        """Take nothing new, let running replies finish within the drain time, and settle the others as failed.

        The store stays open, so that front ends can note what they still show. A second call is harmless.
        """
        if self._is_drained:
            return
        self._is_drained = True
        self._problem = self._refusal = STOPPING
        await self.worker.drain()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._working is not None:
            await asyncio.wait({self._working})
        await self.queue.close()
        await self._fail_unfinished(STOPPED)

    async def stop(self) -> None:
        """Drain, and close everything. A second call is harmless."""
        if self._is_stopped:
            return
        self._is_stopped = True
        async with self._resources:
            await self.drain()
            await self.engine.close()

    def hurry(self) -> None:
        """Do not wait for running replies any longer while stopping."""
        if self._working is not None:
            self._working.cancel()

    async def _fail_unfinished(self, sentence: str) -> int:
        """Settle what nobody writes any more; nothing of a source while another process may be writing it."""
        async with self.store.read() as session:
            sources = {exchange.source for exchange in await exchanges.unfinished(session)}
        count = 0
        for source in sorted(sources):
            with self._lock.alone(source) as is_alone:
                if is_alone:
                    async with self.store.write() as session:
                        count += await exchanges.fail_unfinished(session, sentence, source=source)
        return count

    def _note_facts(self, base: LoadedBase) -> None:
        self.model_facts = ModelFacts(
            str(base.device), str(base.dtype).removeprefix("torch."), base.quantization.chosen
        )


def _local_engine(settings: Settings, folders: AdapterFolders, on_loaded: Callable[[LoadedBase], None]) -> Engine:
    """The in-process engine. Imports torch, so it is called in a thread and only where a model is wanted."""
    from core.engine.configured_base import load_configured_base
    from core.engine.transformers_engine import TransformersEngine

    def load() -> LoadedBase:
        base = load_configured_base(settings, for_serving=True)
        on_loaded(base)
        return base

    return TransformersEngine(
        load,
        adapter_folders=folders,
        adapter_roots=settings.adapter_roots,
        slots=settings.slots,
        max_context_tokens=settings.max_context_tokens,
        adapter_slots=settings.adapter_slots,
        host_adapters=settings.host_adapters,
    )
