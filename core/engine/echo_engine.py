"""An Engine without a model, shipped for tests and trials: it says the last message back, word by word.

A word is a token. Its gate holds replies between two words, so that a test can stop them without sleeping.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from core.engine.base import AdapterStatus, EngineStats
from core.errors import EngineFailed, InvalidInput
from core.generation import AdapterRef, EngineCapabilities, GenerationRequest, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, FinishReason, ReplyChunk, Usage


class WordGate:
    """Lets words through: all of them while open, none while closed, and so many when asked."""

    def __init__(self) -> None:
        self._is_open = True
        self._permits = 0
        self._held = 0
        self._changed = asyncio.Event()

    def open(self) -> None:
        self._is_open = True
        self.announce()

    def close(self) -> None:
        """Hold every reply before its next word."""
        self._is_open = False
        self._permits = 0

    def let_through(self, words: int) -> None:
        """Let this many words pass a closed gate, whichever replies they belong to."""
        self._permits += words
        self.announce()

    async def wait_until_held(self, replies: int = 1) -> None:
        """Return once at least this many replies stand at the closed gate."""
        await self.wait_for(lambda: not self._is_open and not self._permits and self._held >= replies)

    async def pass_word(self, reply: _Echo) -> bool:
        """Wait until this reply may say a word; False when it was ended meanwhile."""
        self._held += 1
        self.announce()
        try:
            await self.wait_for(lambda: self._is_open or self._permits > 0 or reply.is_ended)
        finally:
            self._held -= 1
        if reply.is_ended:
            return False
        if not self._is_open:
            self._permits -= 1
        return True

    async def wait_for(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            await self._changed.wait()

    def announce(self) -> None:
        """Let everybody who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(slots=True, eq=False)
class _Echo:
    """A reply in the making."""

    request: GenerationRequest
    prompt_tokens: int
    is_cancelled: bool = False
    is_broken: bool = False

    @property
    def is_ended(self) -> bool:
        return self.is_cancelled or self.is_broken


class EchoEngine:
    """Implements `core.engine.base.Engine` wholly. A reply names its adapters: "[codebeard@3] good morning".

    A message that holds the word `fails_on` breaks its own reply with EngineFailed; `crash` breaks the engine.
    Sampling has nothing to choose between, so only max_new_tokens and stop strings have an effect.
    """

    def __init__(
        self,
        *,
        slots: int = 4,
        max_context_tokens: int = 256,
        fails_on: str | None = None,
        capabilities: EngineCapabilities | None = None,
    ) -> None:
        self.gate = WordGate()
        self._slots = slots
        self._max_context_tokens = max_context_tokens
        self._fails_on = fails_on
        self._capabilities = capabilities or EngineCapabilities()
        self._echoes: dict[str, _Echo] = {}  # in the order they came: the first `slots` of them run
        self._adapters: dict[str, AdapterStatus] = {}
        self._stats = EngineStats(slots=slots, running=0, waiting=0)
        self._is_started = False
        self._is_healthy = True

    @property
    def base_model(self) -> str:
        return "echo"

    @property
    def max_context_tokens(self) -> int:
        return self._max_context_tokens

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def default_sampling(self) -> SamplingParams:
        return SamplingParams(max_new_tokens=64, temperature=0.0)

    @property
    def capabilities(self) -> EngineCapabilities:
        return self._capabilities

    @property
    def is_healthy(self) -> bool:
        return self._is_healthy

    async def start(self) -> None:
        self._is_started = True

    async def close(self) -> None:
        self._is_started = False
        for echo in self._echoes.values():
            echo.is_cancelled = True
        self.gate.announce()

    def crash(self) -> None:
        """Stop for good, as an engine does whose loop broke too often: what runs fails, what comes is refused."""
        self._is_healthy = False
        for echo in self._echoes.values():
            echo.is_broken = True
        self.gate.announce()

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return sum(1 + len(message.content.split()) for message in messages)

    async def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        if not (self._is_started and self._is_healthy):
            raise EngineFailed("The echo engine is not running; start it, or start the service again.")
        echo = _Echo(request, self.count_tokens(request.messages))
        if echo.prompt_tokens >= self._max_context_tokens:
            raise InvalidInput(
                f"The conversation takes {echo.prompt_tokens} tokens, and the echo engine has room for"
                f" {self._max_context_tokens} with the reply; send a shorter one."
            )
        self._echoes[request.request_id] = echo
        self._use_adapters(request.adapters)
        try:
            await self.gate.wait_for(lambda: echo.is_ended or self._has_slot(echo))
            async for chunk in self._speak(echo):
                yield chunk
        finally:
            del self._echoes[request.request_id]
            self._release_adapters(request.adapters)
            self.gate.announce()  # a slot is free

    async def cancel(self, request_id: str) -> None:
        if echo := self._echoes.get(request_id):
            echo.is_cancelled = True
            self.gate.announce()

    async def load_adapter(self, ref: AdapterRef, *, pin: bool = False) -> None:
        status = self._adapters.get(ref.name, AdapterStatus(ref, "device"))
        self._adapters[ref.name] = replace(status, ref=ref, is_pinned=status.is_pinned or pin)

    async def unload_adapter(self, name: str) -> None:
        self._adapters.pop(name, None)

    def adapters(self) -> tuple[AdapterStatus, ...]:
        return tuple(self._adapters.values())

    def stats(self) -> EngineStats:
        running = min(len(self._echoes), self._slots)
        return replace(self._stats, running=running, waiting=len(self._echoes) - running)

    def _has_slot(self, echo: _Echo) -> bool:
        return echo in list(self._echoes.values())[: self._slots]

    async def _speak(self, echo: _Echo) -> AsyncIterator[ReplyChunk]:
        """Say the words one by one; the last chunk says why the reply ended."""
        room = min(echo.request.sampling.max_new_tokens, self._max_context_tokens - echo.prompt_tokens)
        spoken = 0
        finish_reason: FinishReason = "stop"
        for word in _words(echo.request):
            if spoken == room:
                finish_reason = "length"
                break
            if not await self.gate.pass_word(echo):
                finish_reason = "cancelled" if echo.is_cancelled else "error"
                break
            if word.strip() == self._fails_on:
                raise EngineFailed(f'The echo engine cannot say "{self._fails_on}"; send another message.')
            spoken += 1
            yield ReplyChunk(word)
        self._count(echo, spoken)
        error = "The echo engine crashed; start the service again." if finish_reason == "error" else None
        yield ReplyChunk(finish_reason=finish_reason, usage=Usage(echo.prompt_tokens, spoken), error=error)

    def _use_adapters(self, shares: Sequence[WeightedAdapter]) -> None:
        for ref in (share.adapter for share in shares):
            status = self._adapters.get(ref.name, AdapterStatus(ref, "device"))
            self._adapters[ref.name] = replace(status, in_use=status.in_use + 1)

    def _release_adapters(self, shares: Sequence[WeightedAdapter]) -> None:
        for name in (share.adapter.name for share in shares):
            if status := self._adapters.get(name):  # else it was unloaded meanwhile
                self._adapters[name] = replace(status, in_use=max(0, status.in_use - 1))

    def _count(self, echo: _Echo, spoken: int) -> None:
        self._stats = replace(
            self._stats,
            tokens_generated=self._stats.tokens_generated + spoken,
            prompt_tokens=self._stats.prompt_tokens + echo.prompt_tokens,
            steps=self._stats.steps + spoken,
        )


def _words(request: GenerationRequest) -> list[str]:
    """The whole reply: adapter names and the last message, up to the first stop string."""
    names = "+".join(
        share.adapter.name if share.weight == 1 else f"{share.adapter.name}:{share.weight:g}"
        for share in request.adapters
    )
    text = (f"[{names}] " if names else "") + request.messages[-1].content
    cuts = [cut for stop in request.sampling.stop if (cut := text.find(stop)) >= 0]
    return re.findall(r"\S+\s*", text[: min(cuts, default=None)])
