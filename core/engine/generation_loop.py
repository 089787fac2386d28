"""The engine's loop: admit, run one step of the batch, advance every reply, publish. Runs in one thread of its own.

Knows requests as `Reply` records only; asyncio, chat templates and model loading are transformers_engine's business.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from core.engine.adapter_files import AdapterWeights
from core.engine.adapter_shelf import AdapterShelf
from core.engine.base import EngineStats
from core.engine.crash_watch import CrashWatch
from core.engine.detokenizer import Detokenizer
from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import ModelRunner
from core.engine.sampling import RowSampler, sample
from core.engine.scheduler import Chunk, Scheduler
from core.engine.scheduler import Sequence as TokenSequence
from core.generation import AdapterRef, SamplingParams
from core.messages import FinishReason, ReplyChunk, Usage

RATE_DECAY = 0.98  # weight of the past in tokens per second, per step

CRASHED = "The engine failed while writing this reply; send the message again."
STOPPED = "The engine stopped after repeated failures; look at the server's log and restart it."
NOT_A_NUMBER = "The model's weights gave no valid number for this reply; check the persona's adapter."
NO_MEMORY = "The device has no memory left for this persona's adapter; lower the number of adapters or slots."

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Reply:
    """One reply in the engine: what to compute, how to choose, whom to tell.

    `weights` is the row of weights by adapter; `adapters` holds their tensors until the reply is over.
    """

    sequence: TokenSequence
    sampling: SamplingParams
    weights: Mapping[AdapterRef, float]
    adapters: Sequence[AdapterWeights]
    detokenizer: Detokenizer
    publish: Callable[[ReplyChunk], None]
    sampler: RowSampler = field(init=False)
    rows: Mapping[AdapterRef, int] | None = None  # of the adapters in the stack, while the reply holds them

    def last_chunk(self, reason: FinishReason, text: str = "", error: str | None = None) -> ReplyChunk:
        """The chunk that ends the reply."""
        sequence = self.sequence
        usage = Usage(sequence.prompt_tokens, sequence.completion_tokens, sequence.cached_tokens)
        return ReplyChunk(text, reason, usage, error)


class GenerationLoop:
    """Writes many replies at once. Commands come in from any thread; everything else happens inside `run`.

    `deliver` is called with the chunks of each step and the callables they are for.
    """

    def __init__(
        self,
        runner: ModelRunner,
        shelf: AdapterShelf,
        *,
        eos_tokens: frozenset[int],
        vocab: int,
        prefill_chunk_tokens: int,
        deliver: Callable[[list[tuple[Callable[[ReplyChunk], None], ReplyChunk]]], None],
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = runner
        self._shelf = shelf
        self._eos_tokens = eos_tokens
        self._vocab = vocab
        self._deliver = deliver
        self._device = device
        self._clock = clock
        self._scheduler = Scheduler(runner.slots, prefill_chunk_tokens, can_resume=runner.can_resume)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._replies: dict[str, Reply] = {}
        self._outbox: list[tuple[Callable[[ReplyChunk], None], ReplyChunk]] = []
        self._stepping: list[TokenSequence] = []  # the replies of the step that runs
        self._crashes = CrashWatch()
        self._is_closing = False
        self.is_healthy = True
        self._counters = _Counters()

    def call(self, command: Callable[[], None]) -> None:
        """Have the loop run a command between two steps. From any thread."""
        self._commands.put(command)

    def run(self) -> None:
        """Serve until `close`. An error in a step fails the reply that causes it; the others go on."""
        while not self._is_closing:
            try:
                self._take_commands()
                self._step()
            except Exception:
                logger.exception("A step of the engine failed.")
                self._recover_or_stop()
            self._flush()

    def add(self, reply: Reply) -> None:
        """Queue a reply. Inside the loop."""
        if not self.is_healthy:
            self._tell(reply, reply.last_chunk("error", error=STOPPED))
            return
        self._replies[reply.sequence.request_id] = reply
        self._scheduler.add(reply.sequence)

    def cancel(self, request_id: str) -> None:
        """End a reply early; its slot is free at once. Unknown ids are ignored. Inside the loop."""
        if reply := self._replies.get(request_id):
            is_proven = reply.sequence.completion_tokens > 0  # only logits show whether a slot holds numbers
            self._finish(reply, "cancelled", reply.detokenizer.flush(), keep_prefix=is_proven)

    def warm(self, adapter: AdapterWeights, *, pin: bool) -> None:
        """Bring an adapter to the device ahead of its first reply, if a row is idle. Inside the loop."""
        if (rows := self._shelf.acquire([adapter])) is not None:
            self._shelf.release(rows)
        if pin:
            self._shelf.pin(adapter.ref)

    def close(self) -> None:
        """Cancel everything and leave `run`. Inside the loop."""
        for request_id in list(self._replies):
            self.cancel(request_id)
        self._is_closing = True

    def stats(self) -> EngineStats:
        """A snapshot of the counters. From any thread."""
        return self._counters.snapshot(self._runner.slots, len(self._scheduler.running), len(self._scheduler.waiting))

    def _take_commands(self) -> None:
        if not self._scheduler.has_work:
            self._commands.get()()
        while not self._commands.empty():
            self._commands.get()()

    def _step(self) -> None:
        self._admit()
        chunks = self._scheduler.next_chunks()
        if not chunks:
            return
        started = time.perf_counter()
        self._stepping = [chunk.sequence for chunk in chunks]
        finished = [chunk.sequence for chunk in chunks if chunk.is_last]
        tokens = self._compute(chunks, [self._replies[sequence.request_id].sampler for sequence in finished])
        self._scheduler.settle(chunks)
        for sequence, token in zip(finished, tokens, strict=True):
            self._advance(self._replies[sequence.request_id], token)
        self._stepping = []
        seconds = time.perf_counter() - started
        self._scheduler.note(chunks, seconds)
        self._counters.count_step(len(tokens), seconds)

    def _admit(self) -> None:
        unloadable: list[Reply] = []

        def acquire(sequence: TokenSequence) -> bool:
            reply = self._replies[sequence.request_id]
            try:
                reply.rows = self._shelf.acquire(reply.adapters)
            except RuntimeError:
                logger.exception("The adapters of %s could not be loaded.", sequence.request_id)
                unloadable.append(reply)
            return reply.rows is not None

        for sequence in self._scheduler.admit(acquire):
            reply = self._replies[sequence.request_id]
            if sequence.copy_from is not None:
                self._runner.copy(sequence.copy_from, sequence.slot, sequence.computed)
            self._shelf.assign(sequence.slot, reply.weights, reply.rows or {})
            written = sequence.completion_tokens  # of a reply that begins again after a crash
            reply.sampler = RowSampler.start(reply.sampling, sequence.tokens, self._vocab, self._device, written)
            self._counters.count_prompt(sequence.prompt_tokens, sequence.cached_tokens)
        for reply in unloadable:
            self._finish(reply, "error", error=NO_MEMORY)

    def _compute(self, chunks: list[Chunk], samplers: list[RowSampler]) -> list[int | None]:
        parts = [(SlotTokens(c.sequence.slot, c.sequence.computed, c.count), c.tokens) for c in chunks]
        wanted = [index for index, chunk in enumerate(chunks) if chunk.is_last]
        logits = self._runner.forward(parts, wanted)
        return sample(logits, samplers) if wanted else []

    def _advance(self, reply: Reply, token: int | None) -> None:
        """Add the chosen token to its reply, and end the reply if that was the last."""
        sequence = reply.sequence
        sequence.is_suspect = False
        if token is None:
            self._finish(reply, "error", error=NOT_A_NUMBER, keep_prefix=False)
            return
        sequence.tokens.append(token)
        if token in self._eos_tokens:
            self._finish(reply, "stop", reply.detokenizer.flush())
            return
        text = reply.detokenizer.feed(token)
        if reply.detokenizer.is_stopped:
            self._finish(reply, "stop", text)
        elif sequence.is_full:
            text += reply.detokenizer.flush()
            self._finish(reply, "stop" if reply.detokenizer.is_stopped else "length", text)
        elif text:
            self._tell(reply, ReplyChunk(text))

    def _finish(
        self, reply: Reply, reason: FinishReason, text: str = "", *, error: str | None = None, keep_prefix: bool = True
    ) -> None:
        if reply.sequence.is_running and not keep_prefix:
            self._runner.clear(reply.sequence.slot)
        self._scheduler.remove(reply.sequence, keep_prefix=keep_prefix)
        del self._replies[reply.sequence.request_id]
        self._release(reply)
        self._tell(reply, reply.last_chunk(reason, text, error))

    def _release(self, reply: Reply) -> None:
        if reply.rows is not None:
            self._shelf.release(reply.rows)
            reply.rows = None

    def _recover_or_stop(self) -> None:
        try:
            self._recover()
        except Exception:
            logger.exception("The engine could not recover.")
            self._stop()

    def _recover(self) -> None:
        """After a crashed step nothing on the device can be trusted: what ran begins again, in clean slots."""
        now = self._clock()
        self._counters.restarts += 1
        dropped = self._scheduler.forget()
        self._runner.reset()
        crashed = [sequence for sequence in dropped if not self._stepping or sequence in self._stepping]
        self._stepping = []
        failed = self._crashes.note(crashed, now)
        for sequence in dropped:
            self._release(self._replies[sequence.request_id])
        self._scheduler.requeue(dropped)
        for sequence in failed:
            self._finish(self._replies[sequence.request_id], "error", error=CRASHED)
        if self._crashes.is_hopeless(now):
            self._stop()

    def _stop(self) -> None:
        """Write nothing any more: every reply fails, those that come as well."""
        self.is_healthy = False
        logger.error("The engine fails again and again, and stops.")
        for reply in list(self._replies.values()):
            self._finish(reply, "error", error=STOPPED)

    def _tell(self, reply: Reply, chunk: ReplyChunk) -> None:
        self._outbox.append((reply.publish, chunk))

    def _flush(self) -> None:
        if self._outbox:
            self._deliver(self._outbox)
            self._outbox = []


@dataclass
class _Counters:
    """Sums since start."""

    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    steps: int = 0
    restarts: int = 0
    recent_tokens: float = 0.0
    recent_s: float = 0.0

    def count_prompt(self, tokens: int, cached: int) -> None:
        self.prompt_tokens += tokens
        self.cached_tokens += cached

    def count_step(self, tokens: int, seconds: float) -> None:
        self.steps += 1
        self.tokens += tokens
        self.recent_tokens = self.recent_tokens * RATE_DECAY + tokens
        self.recent_s = self.recent_s * RATE_DECAY + seconds

    def snapshot(self, slots: int, running: int, waiting: int) -> EngineStats:
        return EngineStats(
            slots=slots,
            running=running,
            waiting=waiting,
            tokens_generated=self.tokens,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            steps=self.steps,
            mean_batch=self.tokens / self.steps if self.steps else 0.0,
            tokens_per_s=self.recent_tokens / self.recent_s if self.recent_s else 0.0,
            restarts=self.restarts,
        )
