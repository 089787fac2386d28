"""How likely an adapter makes replies that people judged: what held-out votes are compared by.

The votes that are held out trained nothing: which they are is decided by the question alone, so that it stays the same
from round to round, and no question is on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peft import PeftModel

from core.engine.chat_template import ChatTemplate
from core.engine.configured_base import load_configured_base
from core.engine.model_facts import context_limit
from core.engine.quantization import avoid_packed_kernel
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from core.settings import Settings
from training.dataset_builder import Example, token_count
from training.feedback_set import FeedbackSet
from training.library_noise import quiet_libraries
from training.model_measures import reply_losses
from training.progress import ProgressUpdate, ReportProgress, ignore_progress

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Vote:
    """A judged reply as evaluation sees it, from a thumb or from a pick."""

    messages: tuple[dict[str, str], ...]
    reply: str
    label: bool


def hold_out(feedback: FeedbackSet, share: float = HELD_OUT_SHARE) -> tuple[FeedbackSet, tuple[Vote, ...]]:
    """What trains, and the votes that do not. Better answers all train: they are asked again in other words."""
    judged = [one for one in feedback.judged if not is_held_out(one.messages, share)]
    preferred = [one for one in feedback.preferred if not is_held_out(one.messages, share)]
    votes = [Vote(one.messages, one.reply, one.label) for one in feedback.judged if is_held_out(one.messages, share)]
    for pair in feedback.preferred:
        if is_held_out(pair.messages, share):
            votes += [Vote(pair.messages, pair.chosen, True), Vote(pair.messages, pair.rejected, False)]
    if not judged and not preferred and not feedback.corrected:  # a few votes that all fell on one side train
        return feedback, ()
    return replace(feedback, judged=tuple(judged), preferred=tuple(preferred)), tuple(votes)


def is_held_out(messages: Sequence[Mapping[str, str]], share: float) -> bool:
    """Whether a question, in any case and spacing, belongs to the share that is held out."""
    question = " ".join(messages[-1]["content"].lower().split())
    digest = hashlib.sha256(question.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def score_votes(
    persona: Persona,
    settings: Settings,
    folders: Mapping[str, Path],
    votes: Sequence[Vote],
    progress: ReportProgress = ignore_progress,
) -> dict[str, tuple[float, ...]]:
    """The log-likelihood of each vote's reply under each of these adapters, by their names in `folders`.

    A vote that the model has no room for scores 0 under all of them, which says nothing either way. The adapters have
    been measured before, so their files are known to be in order. Raises NotFound for a missing model.
    """
    if not votes or not folders:
        return dict.fromkeys(folders, ())
    base = load_configured_base(settings)
    avoid_packed_kernel(base.model, for_training=True)
    template, limit = ChatTemplate(base.tokenizer), context_limit(base.model, settings.max_context_tokens)
    examples = [example_of_vote(persona, vote) for vote in votes]
    fitting = [token_count(example, template) <= limit for example in examples]
    asked = [example for example, fits in zip(examples, fitting, strict=True) if fits]
    done, total = 0, len(asked) * len(folders)

    def count() -> None:
        nonlocal done
        done += 1
        progress(ProgressUpdate("Held-out votes", done, total))

    scores: dict[str, tuple[float, ...]] = {}
    with quiet_libraries():
        for name, folder in folders.items():
            model = PeftModel.from_pretrained(base.model, str(folder))
            model.eval()
            losses = iter(reply_losses(model, template, asked, count))
            scores[name] = tuple(-next(losses).nll if fits else 0.0 for fits in fitting)
            model.unload()
    return scores


def example_of_vote(persona: Persona, vote: Vote) -> Example:
    """The vote's conversation as it is served."""
    turns = tuple(ChatMessage(turn["role"], turn["content"]) for turn in vote.messages)  # type: ignore[arg-type]
    return Example(compose(persona.system_prompt, turns), vote.reply.strip())
