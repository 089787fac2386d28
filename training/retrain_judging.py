"""Measures a new version and the one that answers, and has the gate decide between them. Moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from core.adapters.on_disk import has_content
from core.adapters.registry import RegisteredAdapter
from training.feedback_set import CorrectedReply
from training.gate import Verdict, decide
from training.gate_policy import Recall, VoteRewards, policy_for
from training.reasked import ask_again
from training.retrain_parts import Retraining
from training.vote_scores import Vote


def judge(
    task: Retraining,
    version: RegisteredAdapter,
    champion: RegisteredAdapter | None,
    votes: Sequence[Vote],
    corrected: Sequence[CorrectedReply],
) -> Verdict:
    """The verdict on `version`, by votes that trained nothing and by better answers asked again."""
    persona, settings, work = task.persona, task.settings, task.work
    before = None if champion is None else work.measure(persona, settings, champion.folder, task.progress)
    after = work.measure(persona, settings, version.folder, task.progress)
    reasked = ask_again(persona, corrected)
    recall = Recall(
        work.ask(persona, settings, version.folder, reasked, task.progress),
        () if champion is None else work.ask(persona, settings, champion.folder, reasked, task.progress),
    )
    rewards = _rewards(task, version, champion, votes)
    return decide(policy_for(persona), after, before, rewards, recall)


def _rewards(
    task: Retraining, version: RegisteredAdapter, champion: RegisteredAdapter | None, votes: Sequence[Vote]
) -> VoteRewards:
    """Log-likelihoods over the anchor's. Without an anchor that is known, the champion stands in for it."""
    anchor = asyncio.run(_anchor(task, version))
    folders = {version.ref.content_hash: version.folder}
    folders |= {} if champion is None else {champion.ref.content_hash: champion.folder}
    folders |= {} if anchor is None else {anchor[0]: anchor[1]}
    reference = anchor[0] if anchor else champion.ref.content_hash if champion else None
    if not votes or reference is None:
        return VoteRewards()
    scores = task.work.score(task.persona, task.settings, folders, votes, task.progress)

    def over_reference(name: str) -> tuple[float, ...]:
        return tuple(score - least for score, least in zip(scores[name], scores[reference], strict=True))

    return VoteRewards(
        tuple(vote.label for vote in votes),
        over_reference(version.ref.content_hash),
        () if champion is None else over_reference(champion.ref.content_hash),
    )


async def _anchor(task: Retraining, version: RegisteredAdapter) -> tuple[str, Path] | None:
    """The adapter that the training began with, as its lineage names it: content hash and folder."""
    parents = version.lineage.get("parents")
    if not isinstance(parents, list) or not parents or not isinstance(parents[0], str):
        return None
    async with task.open_storage() as storage, storage.store.read() as session:
        folders = await storage.registry.folders(session, parents[0])
    return next(((parents[0], folder) for folder in folders if has_content(folder, parents[0])), None)
