"""The in-process engine: asyncio on this side, one thread with the model and its loop on the other.

Everything the model computes happens in that thread; this file turns requests into its replies and back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from core.adapters.folders import AdapterFolders
from core.engine.adapter_files import AdapterReader, AdapterWeights
from core.engine.adapter_shelf import AdapterShelf, row_weights
from core.engine.base import AdapterStatus, EngineStats
from core.engine.chat_tokens import ChatTokens
from core.engine.decode_graphs import recorder_for
from core.engine.detokenizer import Detokenizer
from core.engine.generation_loop import GenerationLoop, Reply
from core.engine.host_memory import trim_heap
from core.engine.loading import LoadedBase, base_fingerprint
from core.engine.model_facts import context_limit, default_sampling, stop_tokens
from core.engine.model_runner import ModelRunner, make_runner
from core.engine.multi_lora import AdapterStack
from core.engine.scheduler import Sequence as TokenSequence
from core.engine.tuned_runner import tune_threads
from core.errors import EngineFailed, InvalidInput, PersonasError
from core.generation import AdapterRef, EngineCapabilities, GenerationRequest, SamplingParams
from core.messages import ChatMessage, ReplyChunk

# Longer messages are tokenised beside the event loop.
LONG_TEXT_CHARS = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Parts:
    """What exists once the model is loaded."""

    base: LoadedBase
    chat: ChatTokens
    shelf: AdapterShelf
    loop: GenerationLoop
    runner: ModelRunner
    max_context_tokens: int
    default_sampling: SamplingParams
    begins_in_thought: bool


@dataclass(eq=False)
class _Stream:
    """One open `submit`: chunks on their way to the caller."""

    chunks: asyncio.Queue[ReplyChunk] = field(default_factory=asyncio.Queue)
    is_cancelled: bool = False


class TransformersEngine:
    """Engine over a transformers model with stacked LoRA adapters and KV slots.

    `load` brings the base model; it runs in the engine's thread when `start` is awaited. `adapter_folders` knows
    where an adapter lies; only what is inside `adapter_roots` is read. `fingerprint` tells the base model's identity,
    against which an adapter's lineage is checked. `slots` is 1 where the model can only be served one reply at a time.
    """

    def __init__(
        self,
        load: Callable[[], LoadedBase],
        *,
        adapter_folders: AdapterFolders,
        adapter_roots: Sequence[Path],
        slots: int = 8,
        max_context_tokens: int = 2048,
        adapter_slots: int = 8,
        host_adapters: int = 32,
        max_rank: int = 64,
        prefill_chunk_tokens: int = 256,
        fingerprint: Callable[[LoadedBase], str] = base_fingerprint,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._adapter_folders = adapter_folders
        self._adapter_roots = tuple(adapter_roots)
        self._wanted_slots = slots
        self._wanted_context_tokens = max_context_tokens
        self._adapter_slots = adapter_slots
        self._host_adapters = host_adapters
        self._max_rank = max_rank
        self._prefill_chunk_tokens = prefill_chunk_tokens
        self._fingerprint = fingerprint
        self._clock = clock
        self._parts: _Parts | None = None
        self._thread: threading.Thread | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[str, _Stream] = {}

    @property
    def base_model(self) -> str:
        return self._ready.base.name

    @property
    def max_context_tokens(self) -> int:
        return self._ready.max_context_tokens

    @property
    def slots(self) -> int:
        return self._ready.runner.slots

    @property
    def default_sampling(self) -> SamplingParams:
        return self._ready.default_sampling

    @property
    def capabilities(self) -> EngineCapabilities:
        return EngineCapabilities(begins_in_thought=self._ready.begins_in_thought)

    @property
    def is_healthy(self) -> bool:
        is_alive = self._thread is not None and self._thread.is_alive()
        return is_alive and self._parts is not None and self._parts.loop.is_healthy

    async def start(self) -> None:
        """Load the model and start the loop. Raises NotFound, InvalidSetting or EngineFailed with a sentence."""
        self._event_loop = asyncio.get_running_loop()
        started: concurrent.futures.Future[_Parts] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="engine", daemon=True)
        self._thread.start()
        self._parts = await asyncio.wrap_future(started)

    async def close(self, *, gives_back: bool = False) -> None:
        """Cancel what runs and free the device. `gives_back`: the base model is as it was before, for other uses."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.loop.call(parts.loop.close)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if parts is not None and gives_back:
            parts.runner.give_back()
        gc.collect()  # the model's modules refer to each other
        torch.cuda.empty_cache()  # nothing happens without CUDA

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of these messages in the model's own chat template, generation prompt included."""
        return len(self._ready.chat.encode(messages))

    async def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        """Write one reply; see Engine.submit."""
        if request.request_id in self._streams:
            raise InvalidInput(f"A request with the id {request.request_id} is running already.")
        stream = self._streams[request.request_id] = _Stream()
        is_over = False
        try:
            reply = await self._prepare(request, stream)
            if stream.is_cancelled:
                is_over = True
                yield reply.last_chunk("cancelled")
                return
            loop = self._ready.loop
            loop.call(partial(loop.add, reply))
            while not is_over:
                chunk = await stream.chunks.get()
                is_over = chunk.finish_reason is not None
                yield chunk
        finally:
            del self._streams[request.request_id]
            if not is_over:
                self._cancel_in_loop(request.request_id)

    async def cancel(self, request_id: str) -> None:
        """End this request; its iterator yields a last chunk "cancelled". Unknown ids are ignored."""
        if stream := self._streams.get(request_id):
            stream.is_cancelled = True
            self._cancel_in_loop(request_id)

    async def load_adapter(self, ref: AdapterRef, *, pin: bool = False) -> None:
        """Bring an adapter version to the device, or to host memory while all rows are in use."""
        adapter = await self._fetch(ref)
        loop = self._ready.loop  # closed meanwhile, it would run nothing any more
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def warm() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                loop.warm(adapter, pin=pin)
                done.set_result(None)
            except RuntimeError as error:
                done.set_exception(EngineFailed(f"The device has no memory for adapter {ref.name} ({error})."))

        loop.call(warm)
        await asyncio.wrap_future(done)

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter version; running replies finish on it first. Unknown names are ignored."""
        self._ready.shelf.retire(name)

    def adapters(self) -> tuple[AdapterStatus, ...]:
        """Every adapter version the engine knows, and where it is."""
        return self._ready.shelf.statuses()

    def stats(self) -> EngineStats:
        """A snapshot of the counters."""
        return self._ready.loop.stats()

    @property
    def _ready(self) -> _Parts:
        if self._parts is None:
            raise EngineFailed("The engine is not running; start it first.")
        return self._parts

    async def _prepare(self, request: GenerationRequest, stream: _Stream) -> Reply:
        """Check a request and fetch what it needs from disk. Raises InvalidInput and AdapterRejected."""
        weights = row_weights(request.adapters)
        if len(weights) > self._adapter_slots:
            raise InvalidInput(
                f"This blend has {len(weights)} adapters, but only {self._adapter_slots} fit on the device at once;"
                " blend fewer or raise PERSONAS_ADAPTER_SLOTS."
            )
        prompt = await self._encode(request.messages)
        room = self.max_context_tokens - len(prompt)
        if room < 1:
            raise InvalidInput(
                f"The conversation takes {len(prompt)} tokens, but the model has room for {self.max_context_tokens}"
                " including the reply; send a shorter one."
            )
        adapters = [await self._fetch(ref) for ref in weights]
        sequence = TokenSequence(
            request.request_id,
            request.conversation_id,
            prompt,
            max_tokens=len(prompt) + min(room, request.sampling.max_new_tokens),
            weights=tuple(sorted((ref.content_hash, weight) for ref, weight in weights.items())),
        )
        detokenizer = Detokenizer(self._ready.chat.decode, request.sampling.stop)
        return Reply(sequence, request.sampling, weights, adapters, detokenizer, stream.chunks.put_nowait)

    async def _fetch(self, ref: AdapterRef) -> AdapterWeights:
        """From host memory or disk. Raises AdapterRejected, and what the lookup of its folder raises."""
        shelf = self._ready.shelf
        if held := shelf.held(ref):
            return held
        return await asyncio.to_thread(shelf.read, ref, await self._adapter_folders.find(ref))

    async def _encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        encode = partial(self._ready.chat.encode, messages)
        is_long = sum(len(message.content) for message in messages) > LONG_TEXT_CHARS
        return await asyncio.to_thread(encode) if is_long else encode()

    def _cancel_in_loop(self, request_id: str) -> None:
        if self._parts is not None:
            self._parts.loop.call(partial(self._parts.loop.cancel, request_id))

    def _run(self, started: concurrent.futures.Future[_Parts]) -> None:
        """The engine's thread: load, then serve until closed."""
        try:
            parts = self._build(self._load())
        except PersonasError as error:
            started.set_exception(error)
            return
        except Exception as error:
            logger.exception("The engine could not start.")
            sentence = f"The engine could not start ({type(error).__name__}: {error})."
            started.set_exception(EngineFailed(sentence))
            return
        started.set_result(parts)
        parts.loop.run()

    def _build(self, base: LoadedBase) -> _Parts:
        model = base.model.eval()
        max_tokens = context_limit(model, self._wanted_context_tokens)
        stack = AdapterStack(model, rows=self._adapter_slots, slots=self._wanted_slots, dtype=base.dtype)
        runner = make_runner(
            model, stack, slots=self._wanted_slots, max_tokens=max_tokens, recorder=recorder_for(base.device)
        )
        reader = AdapterReader(self._adapter_roots, stack.targets, self._max_rank, self._fingerprint(base))
        shelf = AdapterShelf(reader, stack, host_adapters=self._host_adapters)
        loop = GenerationLoop(
            tune_threads(runner, base.device),
            shelf,
            eos_tokens=stop_tokens(model, base.tokenizer),
            vocab=model.config.get_text_config().vocab_size,
            prefill_chunk_tokens=self._prefill_chunk_tokens,
            deliver=self._deliver,
            device=base.device,
            clock=self._clock,
        )
        trim_heap()  # laying out weights anew has freed as much as the model takes
        chat = ChatTokens(base.tokenizer)
        sampling = default_sampling(model)
        return _Parts(base, chat, shelf, loop, runner, max_tokens, sampling, chat.begins_in_thought)

    def _deliver(self, outbox: list[tuple[Callable[[ReplyChunk], None], ReplyChunk]]) -> None:
        """Hand a step's chunks to the event loop, with one wake-up for all of them."""
        if self._event_loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is gone, and its readers with it
                self._event_loop.call_soon_threadsafe(_publish, outbox)


def _publish(outbox: list[tuple[Callable[[ReplyChunk], None], ReplyChunk]]) -> None:
    for publish, chunk in outbox:
        publish(chunk)
