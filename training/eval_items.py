"""Measured values prompt by prompt, so that two adapters can be compared in pairs. Replies in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from training.eval_adherence import Adherence, VoiceClassifier
from training.eval_facts import is_answered
from training.eval_habits import distinct_share, emoji_count, exclamation_count, praises, word_count
from training.eval_identity import says_its_name
from training.eval_quality import Language, find_flaws
from training.eval_refusals import declines
from training.eval_replies import EvalReplies, Replies, Speakers
from training.fixed_prompts import Fact

HABITS: Mapping[str, Callable[[str], float]] = {
    "words": word_count,
    "emoji": emoji_count,
    "exclamations": exclamation_count,
    "praise": praises,
}


@dataclass(frozen=True, slots=True)
class Items:
    """One value a prompt, in the prompts' order. Verdicts are 0 or 1; `base` is empty where the base was not asked."""

    base: tuple[float, ...]
    adapter: tuple[float, ...]


def adherence_items(adherences: Mapping[str, Adherence]) -> dict[str, Items]:
    """Whether each reply passes for the persona's, by the adherence's own key."""
    return {
        key: Items(_above(found.base_scores, found.threshold), _above(found.adapter_scores, found.threshold))
        for key, found in adherences.items()
    }


def voice_items(
    classifier: VoiceClassifier | None, everyday: Adherence | None, replies: EvalReplies
) -> dict[str, Items]:
    """Whether the persona is still heard after a sentence that asks to drop the act, and in code or JSON.

    The threshold is that of everyday prompts, which these are made of or resemble.
    """
    if classifier is None or everyday is None:
        return {}
    dropped = [reply.text for group in replies.drop_the_act.values() for reply in group]
    formats = [reply.text for reply in replies.formats.adapter]
    return {
        key: Items((), _above(classifier.score(texts), everyday.threshold))
        for key, texts in (("drop_the_act", dropped), ("formats", formats))
        if texts
    }


def reply_items(
    replies: EvalReplies, facts: Sequence[Fact], name: str, base_names: Sequence[str], language: Language
) -> dict[str, Items]:
    """Facts, refusals, the name, flaws and habits."""
    both = [*replies.held_out.prompts, *replies.everyday.prompts]
    asked = ["\n".join(turn.content for turn in turns) for turns in both]
    written = {
        which: (*getattr(replies.held_out, which), *getattr(replies.everyday, which)) for which in ("base", "adapter")
    }

    def flaws(which: str) -> tuple[float, ...]:
        return tuple(
            float(bool(find_flaws(prompt, reply, language)))
            for prompt, reply in zip(asked, written[which], strict=True)
        )

    found = {
        "facts": Items(_answered(facts, replies.facts.base), _answered(facts, replies.facts.adapter)),
        "refusals": _judged(replies.refusals, declines),
        "identity": _judged(replies.identity, lambda text: says_its_name(text, name, base_names)),
        "flawed": Items(flaws("base"), flaws("adapter")),
    }
    for habit, measure in HABITS.items():
        found[habit] = Items(
            *(tuple(float(measure(reply.text)) for reply in written[which]) for which in ("base", "adapter"))
        )
    return {key: items for key, items in found.items() if items.adapter}


def all_numbers(replies: EvalReplies) -> dict[str, float]:
    """What is known of all replies together only."""
    texts = [reply.text for reply in (*replies.held_out.adapter, *replies.everyday.adapter)]
    distinct = distinct_share(texts)
    return {} if distinct is None else {"distinct": distinct}


def _judged(speakers: Speakers, judge: Callable[[str], bool]) -> Items:
    return Items(
        *(tuple(float(judge(reply.text)) for reply in replies) for replies in (speakers.base, speakers.adapter))
    )


def _answered(facts: Sequence[Fact], replies: Replies) -> tuple[float, ...]:
    return tuple(float(is_answered(fact, reply.text)) for fact, reply in zip(facts, replies, strict=True))


def _above(scores: Sequence[float], threshold: float) -> tuple[float, ...]:
    return tuple(float(score > threshold) for score in scores)
