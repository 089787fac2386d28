"""The learning loop: `personas retrain SLUG`. Export, train, register, measure, judge, promote or refuse.

The story is `retrain`, top to bottom. Training never promotes and promotion never trains: this calls both, and the gate
between them. Every step is noted in a journal once it is done, and may be done again without harm: a retraining that
was killed goes on where it was. What each step is made of comes in by `Work`, and the storage by `OpenStorage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from core.adapters.lineage import read_lineage
from core.adapters.on_disk import has_content
from core.adapters.registry import ChampionMoved, RegisteredAdapter
from core.errors import InvalidInput
from core.store import adapter_versions
from training.feedback_set import FeedbackSet
from training.gate import Verdict
from training.retrain_journal import Journal, JournalFile, Last, digest_of
from training.retrain_judging import judge
from training.retrain_parts import Options, Retraining
from training.retrain_report import SENTENCES, Outcome, RetrainReport, count_rows, too_little
from training.settling import note_beside, reason_of, settle
from training.vote_scores import Vote, hold_out

MAX_DUELS = 3  # while other people keep promoting


def look(task: Retraining) -> RetrainReport:
    """What a retraining would use, which changes nothing: `--dry-run`."""
    feedback = asyncio.run(_export(task, task.options.now))
    lacking = too_little(task.persona, feedback, task.options.min_feedback)
    _, votes = hold_out(feedback)
    sentence = lacking or f"{task.persona.slug} would be retrained on this; nothing was changed."
    return _report(task, feedback, _lack(feedback) if lacking else "dry_run", sentence, held_out=len(votes))


def retrain(task: Retraining) -> RetrainReport:
    """Do the whole loop, or go on with one that was stopped.

    Raises RetrainingRuns, StoreUnavailable, and whatever training and measuring raise; the next call goes on then.
    """
    journals = JournalFile(task.settings.data_dir, task.persona.slug, task.settings.base_slug)
    with journals.held():
        journal, feedback = _begin(task, journals)
        if lacking := too_little(task.persona, feedback, task.options.min_feedback):
            return _report(task, feedback, _lack(feedback), lacking)
        training, votes = hold_out(feedback)
        if journal is None:
            _, before = asyncio.run(_standing(task))
            journal = _new_journal(task, feedback, before)
        journal = _train(task, journals, journal, training)
        version = asyncio.run(_register(task, journal))
        journals.write(replace(journal, version=version.version))
        report = _judge_and_move(task, journal.before, feedback, votes, version)
        journals.finish(Last(digest_of(feedback), report.outcome, report.version, task.options.now))
        return report


def _begin(task: Retraining, journals: JournalFile) -> tuple[Journal | None, FeedbackSet]:
    """The journal to go on with, and what trains as of its moment; without one, as of now.

    People may have been forgotten since, or taken back what they said: then it begins anew without them. An adapter
    that was trained already is registered all the same, so that it is known what it learned from.
    """
    journal = journals.read()
    if journal is None:
        return None, asyncio.run(_export(task, task.options.now))
    if journal.options == dict(task.options.overrides):
        feedback = asyncio.run(_export(task, journal.begun_at))
        if digest_of(feedback) == journal.digest:
            task.tell(f"Going on with the retraining of {task.persona.slug} that was stopped.")
            return journal, feedback
        task.tell("What people said has changed since the retraining was stopped; it begins anew.")
    else:
        task.tell("The retraining that was stopped had other options; it begins anew.")
    if _trained_folder(task, journal) is not None:
        asyncio.run(_register(task, journal))
    return None, asyncio.run(_export(task, task.options.now))


async def _export(task: Retraining, moment: float) -> FeedbackSet:
    async with task.open_storage() as storage:
        return await task.work.export(storage.store, moment)


def _new_journal(task: Retraining, feedback: FeedbackSet, before: dict[Any, int]) -> Journal:
    options = task.options
    return Journal(options.now, dict(options.overrides), digest_of(feedback), feedback.exchange_ids, before)


def _train(task: Retraining, journals: JournalFile, journal: Journal, training: FeedbackSet) -> Journal:
    if _trained_folder(task, journal) is not None:
        return journal
    resumes = journal.is_training
    journal = journals.write(replace(journal, is_training=True, content_hash=None, folder=None))
    learn = task.work.learn
    try:
        trained = learn(task.persona, task.settings, training, is_resumed=resumes, progress=task.progress)
    except task.work.cannot_resume as error:
        if not resumes:
            raise
        task.tell(f"{error} The training begins anew.")
        trained = learn(task.persona, task.settings, training, is_resumed=False, progress=task.progress)
    folder = trained.folder.resolve().relative_to(task.settings.adapters_dir.resolve()).as_posix()
    return journals.write(replace(journal, content_hash=trained.content_hash, folder=folder))


def _trained_folder(task: Retraining, journal: Journal) -> Path | None:
    """Where the journal's adapter lies, undamaged."""
    if journal.folder is None or journal.content_hash is None:
        return None
    folder = task.settings.adapters_dir / journal.folder
    return folder if has_content(folder, journal.content_hash) else None


async def _register(task: Retraining, journal: Journal) -> RegisteredAdapter:
    folder = _trained_folder(task, journal)
    if folder is None:
        raise InvalidInput("The adapter that was just trained is gone; run the same command again.")
    async with task.open_storage() as storage:
        return await storage.registry.register(
            storage.store,
            persona=task.persona.slug,
            base_slug=task.settings.base_slug,
            folder=folder,
            lineage=read_lineage(folder),
            exchange_ids=journal.exchange_ids,
        )


def _judge_and_move(
    task: Retraining,
    before: Mapping[Any, int],
    feedback: FeedbackSet,
    votes: Sequence[Vote],
    version: RegisteredAdapter,
) -> RetrainReport:
    """Judge against who answers now, once more where that changes meanwhile. `before` is where the aliases pointed."""
    for _ in range(MAX_DUELS):
        champion, after = asyncio.run(_standing(task))
        if champion is not None and champion.version == version.version:  # killed behind its promotion, or no news
            moved: Outcome = "promoted" if champion.gate_passed else "forced"
            outcome = "unchanged" if before.get("champion") == champion.version else moved
        else:
            verdict = judge(task, version, champion, votes, feedback.corrected)
            try:
                outcome, after = asyncio.run(_settle(task, version, champion, verdict))
            except ChampionMoved:
                task.tell("Another version was promoted meanwhile; the new one is judged against that.")
                continue
        current = asyncio.run(_current(task, version))
        return _finished(task, feedback, votes, current, outcome, before, after)
    raise ChampionMoved("Other versions keep being promoted; run the same command again when that has ended.")


async def _current(task: Retraining, version: RegisteredAdapter) -> RegisteredAdapter:
    async with task.open_storage() as storage:
        return await note_beside(storage, version)


async def _standing(task: Retraining) -> tuple[RegisteredAdapter | None, dict[Any, int]]:
    persona, base = task.persona.slug, task.settings.base_slug
    async with task.open_storage() as storage, storage.store.read() as session:
        champion = await storage.registry.champion(session, persona, base)
        return champion, dict(await adapter_versions.aliases(session, persona, base))


async def _settle(
    task: Retraining, version: RegisteredAdapter, champion: RegisteredAdapter | None, verdict: Verdict
) -> tuple[Outcome, dict[Any, int]]:
    """What became of the version, and whom the aliases name then. Raises ChampionMoved."""
    options = task.options
    async with task.open_storage() as storage:
        outcome = await settle(
            storage,
            version,
            verdict,
            over=None if champion is None else champion.version,
            rules=task.persona.file.rollout,
            is_forced=options.is_forced,
            overrides=options.recorded,
            by=options.by,
            reason=_reason(verdict, options),
        )
        async with storage.store.read() as session:
            return outcome, dict(await adapter_versions.aliases(session, version.persona, version.base_model))


def _reason(verdict: Verdict, options: Options) -> str:
    text = reason_of(verdict)
    changed = ", ".join(f"{name} = {value}" for name, value in options.recorded.items())
    return f"{text} Changed on the command line: {changed}." if changed else text


def _finished(
    task: Retraining,
    feedback: FeedbackSet,
    votes: Sequence[Vote],
    version: RegisteredAdapter,
    outcome: Outcome,
    before: Mapping[Any, int],
    after: Mapping[Any, int],
) -> RetrainReport:
    moves = tuple(
        {"alias": alias, "from": before.get(alias), "to": after.get(alias)}
        for alias in ("champion", "challenger", "previous")
        if before.get(alias) != after.get(alias)
    )
    champion = after.get("champion")
    former = f"{task.persona.slug}@{champion}" if champion else "the system prompt alone"
    sentence = SENTENCES[outcome].format(version=version.ref.name, former=former)
    return replace(
        _report(task, feedback, outcome, sentence, held_out=len(votes)),
        version=version.ref.name,
        content_hash=version.ref.content_hash,
        gate=version.gate_report,
        moves=moves,
    )


def _lack(feedback: FeedbackSet) -> Literal["nothing", "too_little"]:
    return "too_little" if count_rows(feedback)["usable"] or feedback.held_back else "nothing"


def _report(
    task: Retraining, feedback: FeedbackSet, outcome: Outcome, sentence: str, *, held_out: int = 0
) -> RetrainReport:
    return RetrainReport(
        persona=task.persona.slug,
        base_model=task.settings.base_slug,
        outcome=outcome,
        sentence=sentence,
        counts=count_rows(feedback, held_out),
        held_back=feedback.held_back,
        overrides=task.options.recorded,
        manifest=feedback.manifest,
    )
