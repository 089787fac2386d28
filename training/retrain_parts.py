"""What a retraining is given: the persona, its options, and the parts that take their time. Does nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.adapters.registry import Registry
from core.personas import Persona
from core.settings import Settings
from core.store.db import Store
from training.feedback_set import FeedbackSet
from training.measurement import Measurement
from training.progress import ReportProgress
from training.reasked import Reasked
from training.vote_scores import Vote


class Trained(Protocol):
    """What a training leaves: an adapter in its folder."""

    @property
    def folder(self) -> Path: ...
    @property
    def content_hash(self) -> str: ...
    @property
    def lineage(self) -> dict[str, Any]: ...


class HasParts(Protocol):
    """An open storage."""

    @property
    def store(self) -> Store: ...
    @property
    def registry(self) -> Registry: ...


OpenStorage = Callable[[], AbstractAsyncContextManager[HasParts]]


class Learn(Protocol):
    def __call__(
        self, persona: Persona, settings: Settings, feedback: FeedbackSet, *, is_resumed: bool, progress: ReportProgress
    ) -> Trained: ...


@dataclass(frozen=True, slots=True)
class Work:
    """The parts that take their time. `export` gets the moment as of which it exports, as a unix time in seconds;
    `cannot_resume` is what `learn` raises for a checkpoint that is damaged or of another training."""

    export: Callable[[Store, float], Coroutine[Any, Any, FeedbackSet]]
    learn: Learn
    measure: Callable[[Persona, Settings, Path, ReportProgress], Measurement]
    ask: Callable[[Persona, Settings, Path, Sequence[Reasked], ReportProgress], tuple[int, ...]]
    score: Callable[
        [Persona, Settings, Mapping[str, Path], Sequence[Vote], ReportProgress], dict[str, tuple[float, ...]]
    ]
    cannot_resume: tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class Options:
    """How much feedback is asked for, what the command line changed of it, who asks, and the present moment."""

    min_feedback: int
    overrides: Mapping[str, Any]
    is_forced: bool
    by: str
    now: float

    @property
    def recorded(self) -> dict[str, Any]:
        """Everything that somebody changed, for whoever asks later."""
        return {**self.overrides, "force": True} if self.is_forced else dict(self.overrides)


@dataclass(frozen=True, slots=True)
class Retraining:
    """One persona, and everything that is needed to retrain it. `tell` takes a sentence on what happens."""

    persona: Persona
    settings: Settings
    open_storage: OpenStorage
    work: Work
    options: Options
    progress: ReportProgress
    tell: Callable[[str], None]
