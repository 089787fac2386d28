"""What Prometheus reads: replies as they are given, and the queue, the engine and the feedback when asked."""

from __future__ import annotations

import time
from collections import Counter as Tallies
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bot.chat.responder import PendingReply
from core.engine.base import Engine
from core.errors import PersonasError
from core.messages import ReplyChunk, Usage
from core.queue.protocol import JobQueue
from core.store import exchanges, feedback
from core.store.db import Store
from core.worker.worker import STATUS_OF

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


def model_label(model: str) -> str:
    """A persona's slug or "base"; blends share a label, because anyone can make up new ones without end."""
    return "blend" if "+" in model or ":" in model else model


class Metrics:
    """Owns its CollectorRegistry, so that several apps live in one process (tests do that)."""

    def __init__(self, store: Store, queue: JobQueue, engine: Engine) -> None:
        self._store = store
        self._queue = queue
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "personas_requests", "Requests by how they ended", ["persona", "source", "status"], registry=registry
        )
        self._tokens = Counter("personas_tokens", "Tokens of finished replies", ["persona", "kind"], registry=registry)
        self._running = Gauge("personas_replies_open", "Replies asked for and not ended", ["source"], registry=registry)
        self._wait = _seconds("personas_wait_seconds", "From the question to the worker taking it", registry)
        self._first = _seconds("personas_time_to_first_token_seconds", "From the question to the first text", registry)
        self._whole = _seconds("personas_reply_seconds", "From the question to the end of the reply", registry)
        self._feedback = Gauge(
            "personas_feedback", "Standing judgements of replies", ["persona", "label"], registry=registry
        )
        self._depth = Gauge("personas_queue_depth", "Jobs that wait", registry=registry)
        registry.register(_EngineStats(engine))

    def count_refused(self, model: str, source: str) -> None:
        """A request that never became a job."""
        self._requests.labels(model_label(model), source, "refused").inc()

    async def measured(self, reply: PendingReply, source: str) -> AsyncGenerator[ReplyChunk]:
        """The reply's chunks, noted as they pass. Closing this closes the reply, which cancels it."""
        persona, began = model_label(reply.model), time.monotonic()
        is_first, end = True, ReplyChunk(finish_reason="cancelled")
        self._running.labels(source).inc()
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    if chunk.text and is_first:
                        is_first = False
                        self._first.labels(source).observe(time.monotonic() - began)
                    if chunk.finish_reason is not None:
                        end = chunk
                    yield chunk
        finally:
            self._running.labels(source).dec()
            self._whole.labels(source).observe(time.monotonic() - began)
            self._note_end(persona, source, end)
        await self._note_wait(reply.exchange_id, source)

    async def text(self) -> bytes:
        """The page that Prometheus scrapes. An unreachable store leaves the last known feedback standing."""
        self._depth.set(await self._queue.depth())
        try:
            async with self._store.read() as session:
                tallies = await feedback.tally(session)
        except PersonasError:
            return generate_latest(self._registry)
        counts: Tallies[tuple[str, str]] = Tallies()
        for tally in tallies:
            counts[model_label(tally.model), "up"] += tally.up
            counts[model_label(tally.model), "down"] += tally.down
        self._feedback.clear()
        for labels, count in counts.items():
            self._feedback.labels(*labels).set(count)
        return generate_latest(self._registry)

    def _note_end(self, persona: str, source: str, end: ReplyChunk) -> None:
        usage = end.usage or Usage()
        self._requests.labels(persona, source, STATUS_OF[end.finish_reason or "cancelled"]).inc()
        self._tokens.labels(persona, "prompt").inc(usage.prompt_tokens)
        self._tokens.labels(persona, "completion").inc(usage.completion_tokens)
        self._tokens.labels(persona, "cached").inc(usage.cached_tokens)

    async def _note_wait(self, exchange_id: str, source: str) -> None:
        """The ledger knows when the worker took the job; a store that fails here must not fail the reply."""
        try:
            async with self._store.read() as session:
                exchange = await exchanges.find(session, exchange_id)
        except PersonasError:
            return
        if exchange is not None and exchange.started_at is not None:
            self._wait.labels(source).observe(max(0.0, exchange.started_at - exchange.created_at))


class _EngineStats(Collector):
    """Reads the engine's own counters when Prometheus asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        return []  # nothing is read before the first scrape: the model may still be loading

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        yield GaugeMetricFamily("personas_engine_slots", "Replies that can run at once", value=stats.slots)
        yield GaugeMetricFamily("personas_engine_running", "Replies that run", value=stats.running)
        yield GaugeMetricFamily("personas_engine_waiting", "Requests that wait for a slot", value=stats.waiting)
        yield GaugeMetricFamily("personas_engine_mean_batch", "Rows a step, on average", value=stats.mean_batch)
        yield GaugeMetricFamily(
            "personas_engine_tokens_per_second", "Tokens written a second", value=stats.tokens_per_s
        )
        yield CounterMetricFamily("personas_engine_steps", "Steps of the engine", value=stats.steps)
        yield CounterMetricFamily("personas_engine_restarts", "Times the engine's loop came back", value=stats.restarts)
        yield CounterMetricFamily("personas_engine_tokens_generated", "Tokens written", value=stats.tokens_generated)
        yield CounterMetricFamily("personas_engine_prompt_tokens", "Tokens of prompts", value=stats.prompt_tokens)
        yield CounterMetricFamily("personas_engine_cached_tokens", "Prompt tokens reused", value=stats.cached_tokens)
        places = Tallies(status.place for status in self._engine.adapters())
        adapters = GaugeMetricFamily("personas_adapters", "Adapter versions by where they are", labels=["place"])
        for place in ("device", "host", "disk"):
            adapters.add_metric([place], places[place])
        yield adapters


def _seconds(name: str, text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, ["source"], buckets=SECONDS, registry=registry)
