"""Writes replies with the engine that serves, so that what is measured is what people read. Knows no measures."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from core.adapters.folders import KnownFolders
from core.engine.chat_template import ChatTemplate
from core.engine.loading import LoadedBase
from core.engine.model_facts import default_sampling
from core.engine.transformers_engine import TransformersEngine
from core.errors import EngineFailed
from core.generation import AdapterRef, GenerationRequest, SamplingParams, WeightedAdapter
from core.messages import ChatMessage
from core.thinking import ThinkingFilter
from training.progress import ProgressUpdate, ReportProgress
from training.recipes import MAX_R

SEED_BYTES = 7  # the engine takes 63 bits


@dataclass(frozen=True, slots=True)
class Written:
    """A reply. `is_cut`: it ended because its limit was reached, not because it was finished."""

    text: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt as the model gets it, and how its reply is sampled, seed and length included."""

    messages: tuple[ChatMessage, ...]
    sampling: SamplingParams


def seeded(messages: Sequence[ChatMessage], sampling: SamplingParams) -> Ask:
    """The prompt with a seed that its last message alone decides: the same for every persona, in any company."""
    digest = hashlib.sha256(messages[-1].content.encode()).digest()
    return Ask(tuple(messages), replace(sampling, seed=int.from_bytes(digest[:SEED_BYTES], "big")))


class ReplyWriter:
    """A running engine on a loaded base model; a context manager, used outside of any event loop.

    `base.model` must have no adapter of PEFT's in it, and is given back without one; `adapter` is the one folder that
    one is read from. `longest` is what the longest prompt takes with its reply, in tokens: slots as long as the model's
    context would take memory for nothing.
    """

    def __init__(self, base: LoadedBase, adapter: Path, *, slots: int, longest: int) -> None:
        self.base = base
        self.template = ChatTemplate(base.tokenizer)
        self.default_sampling = default_sampling(base.model)
        self._engine = TransformersEngine(
            lambda: base,
            adapter_folders=KnownFolders([adapter]),
            adapter_roots=[adapter],
            slots=slots,
            max_context_tokens=longest,
            adapter_slots=1,
            max_rank=MAX_R,
        )
        self._loop = asyncio.Runner()

    def __enter__(self) -> ReplyWriter:
        try:
            self._loop.run(self._engine.start())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.run(self._engine.close(gives_back=True))
        finally:
            self._loop.close()

    def write(
        self, asks: Sequence[Ask], adapter: AdapterRef | None, stage: str, progress: ReportProgress
    ) -> tuple[Written, ...]:
        """The replies, in the order of `asks`; without an adapter they are the base model's.

        Raises AdapterRejected for an adapter that cannot be served, EngineFailed where a reply could not be written.
        """
        return self._loop.run(self._write_all(asks, adapter, stage, progress)) if asks else ()

    async def _write_all(
        self, asks: Sequence[Ask], adapter: AdapterRef | None, stage: str, progress: ReportProgress
    ) -> tuple[Written, ...]:
        done = 0

        async def write_one(number: int, ask: Ask) -> Written:
            nonlocal done
            written = await self._write(f"{stage} {number}", ask, adapter)
            done += 1
            progress(ProgressUpdate(stage, done, len(asks)))
            return written

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(write_one(number, ask)) for number, ask in enumerate(asks)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the first that went wrong ended the others
        return tuple(task.result() for task in tasks)

    async def _write(self, name: str, ask: Ask, adapter: AdapterRef | None) -> Written:
        adapters = () if adapter is None else (WeightedAdapter(adapter, 1.0),)
        text, parting = "", ThinkingFilter(is_open=self._engine.capabilities.begins_in_thought)
        async for chunk in self._engine.submit(GenerationRequest(name, name, ask.messages, adapters, ask.sampling)):
            text += parting.part(chunk).text
            if chunk.finish_reason == "error":
                raise EngineFailed(chunk.error or "The engine failed while writing a reply.")
            if chunk.finish_reason is not None:
                return Written(text.strip(), chunk.finish_reason == "length")
        raise EngineFailed("The engine ended a reply without saying why; please report it.")
