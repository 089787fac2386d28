"""`personas trainer`: looks at every persona now and then, and retrains those that have enough new feedback.

One at a time and at the lowest priority, so that people who chat are served first. What breaks for one persona is
logged and stops nobody else; the same feedback is not tried twice.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Callable

from bot.commands.retrain import retraining
from bot.commands.stop_signals import stop_by_exception
from bot.service.storage import open_storage
from core.errors import PersonasError
from core.personas import Persona
from core.settings import Settings
from core.store import adapter_versions, rollouts
from training.feedback_set import FeedbackSet
from training.progress import ignore_progress
from training.retrain import retrain
from training.retrain_journal import JournalFile, RetrainingRuns, digest_of
from training.retrain_parts import Retraining

ACTOR = "trainer"
LOOK_EVERY_S = 600.0
NICENESS = 19  # nobody is less important

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if hasattr(os, "nice"):  # Windows has none
        os.nice(NICENESS)
    with stop_by_exception():
        watch(settings, is_once=arguments.once)
    return 0


def watch(
    settings: Settings,
    *,
    is_once: bool,
    make_task: Callable[[Persona, Settings], Retraining] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Look at every persona, and again after a while, until an exception of the signals ends it."""
    tried: set[tuple[str, str]] = set()
    logger.info("Watching for feedback on %s", settings.base_model)
    while True:
        for persona in asyncio.run(_personas(settings)):
            try:
                _look_at((make_task or _task)(persona, settings), tried)
            except RetrainingRuns as error:
                logger.info("%s waits: %s", persona.slug, error)
            except PersonasError as error:
                logger.warning("%s is not retrained: %s", persona.slug, error)
            except Exception:  # the loop's boundary: one persona stops no other
                logger.exception("%s is not retrained", persona.slug)
        if is_once:
            return
        pause(LOOK_EVERY_S)


def is_due(feedback: FeedbackSet, known: set[str], min_feedback: int) -> bool:
    """Whether there is enough that no version has learned from yet. A judgement is known by its exchange."""
    ids = [one.exchange_id for one in feedback.judged]
    ids += [one.exchange_id for one in feedback.preferred]
    ids += [one.exchange_id for one in feedback.corrected]
    return sum(one not in known for one in ids) >= min_feedback


def _look_at(task: Retraining, tried: set[tuple[str, str]]) -> None:
    slug = task.persona.slug
    journals = JournalFile(task.settings.data_dir, slug, task.settings.base_slug)
    if asyncio.run(_is_rolling_out(task)):  # a newer version would end what people are deciding
        return
    if journals.read() is None:
        feedback, known = asyncio.run(_feedback(task))
        last, attempt = journals.last(), (slug, digest_of(feedback))
        if attempt in tried or (last is not None and last.digest == attempt[1]):
            return
        if not is_due(feedback, known, task.options.min_feedback):
            return
        tried.add(attempt)
        logger.info("%s has enough new feedback and is retrained", slug)
    report = retrain(task)
    logger.info("%s", report.sentence)


async def _feedback(task: Retraining) -> tuple[FeedbackSet, set[str]]:
    """What could train now, and the exchanges that some version learned from."""
    async with task.open_storage() as storage:
        feedback = await task.work.export(storage.store, task.options.now)
        async with storage.store.read() as session:
            return feedback, await adapter_versions.examples(session, task.persona.slug, task.settings.base_slug)


async def _is_rolling_out(task: Retraining) -> bool:
    async with task.open_storage() as storage, storage.store.read() as session:
        return bool(await rollouts.running(session, [task.persona.slug], task.settings.base_slug))


def _task(persona: Persona, settings: Settings) -> Retraining:
    def tell(sentence: str) -> None:
        logger.info("%s", sentence)

    return retraining(persona, settings, {}, by=ACTOR, progress=ignore_progress, tell=tell)


async def _personas(settings: Settings) -> list[Persona]:
    async with open_storage(settings) as storage:
        return list(storage.personas.values())
