"""Turns the replies of a measurement into its figures: who sounds like the persona, who says its name, what is flawed.

Replies in, figures out; how they were written is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.personas import Persona
from training.data_files import spread
from training.eval_adherence import (
    Adherence,
    Judge,
    VoiceClassifier,
    measure_adherence,
    share_above,
    train_classifier,
)
from training.eval_facts import retained
from training.eval_figures import (
    Figure,
    adherence_figure,
    drop_the_act_figures,
    formats_figure,
    identity_figure,
    quality_figures,
    refusals_figure,
    retention_figure,
)
from training.eval_identity import says_its_name
from training.eval_items import Items, adherence_items, all_numbers, reply_items, voice_items
from training.eval_prompts import Conversation, EvalPrompts
from training.eval_quality import Flaw, Language, Quality, measure_quality
from training.eval_replies import EvalReplies, Replies, Speakers
from training.fixed_prompts import Thresholds
from training.hidden_probe import HiddenProbe, ReadStates, train_probe

ADHERENCES = {
    "adherence_held_out": "adherence on held-out prompts",
    "adherence_everyday": "adherence on everyday prompts",
    "masked_adherence_held_out": "adherence on held-out prompts, catchphrases masked",
    "masked_adherence_everyday": "adherence on everyday prompts, catchphrases masked",
    "probed_adherence_held_out": "adherence on held-out prompts, by a probe of hidden states",
    "probed_adherence_everyday": "adherence on everyday prompts, by a probe of hidden states",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The figures, the scores behind the adherence (by the figures' keys), every value prompt by prompt, and the
    adapter's flawed replies."""

    figures: tuple[Figure, ...]
    adherences: Mapping[str, Adherence]
    items: Mapping[str, Items]
    numbers: Mapping[str, float]
    flaws: tuple[Flaw, ...]


def judge(
    persona: Persona,
    prompts: EvalPrompts,
    replies: EvalReplies,
    *,
    base_names: Sequence[str],
    language: Language,
    thresholds: Thresholds,
    read_states: ReadStates | None = None,
    probe_texts: int = 0,
) -> Judgement:
    """Every figure that needs replies; what was not asked is a figure without a value. Without `read_states` nothing
    is probed, else by a probe that `probe_texts` of either kind taught."""
    negatives = [*prompts.others, *texts_of(replies.teach)]
    phrases = persona.file.catchphrases
    plain = train_classifier(prompts.texts, negatives)
    masked = train_classifier(prompts.texts, negatives, phrases) if phrases else None
    probe = None if read_states is None else _probe(prompts, replies, read_states, probe_texts)
    adherences = {
        key: found
        for key, classifier, speakers in zip(
            ADHERENCES,
            (plain, plain, masked, masked, probe, probe),
            (replies.held_out, replies.everyday) * 3,
            strict=True,
        )
        if (found := _adherence(classifier, speakers, thresholds)) is not None
    }
    base, prompted, adapter = (_quality(which, replies, language) for which in ("base", "prompted", "adapter"))
    everyday = adherences.get("adherence_everyday")
    items = {
        **adherence_items(adherences),
        **voice_items(plain, everyday, replies),
        **reply_items(replies, prompts.facts, persona.name, base_names, language),
    }
    figures = [
        *_adherence_figures(adherences, thresholds),
        *_drop_the_act(plain, everyday, replies, thresholds),
        formats_figure(items.get("formats"), thresholds),
        _identity(persona, replies.identity, base_names, thresholds),
        *quality_figures(base, prompted, adapter, thresholds),
        retention_figure(
            *retained(prompts.facts, texts_of(replies.facts.base), texts_of(replies.facts.adapter)), thresholds
        ),
        refusals_figure(items.get("refusals"), thresholds),
    ]
    return Judgement(tuple(figures), adherences, items, all_numbers(replies), adapter.flaws if adapter else ())


def texts_of(replies: Replies) -> list[str]:
    return [reply.text for reply in replies]


def _probe(prompts: EvalPrompts, replies: EvalReplies, read: ReadStates, texts: int) -> HiddenProbe | None:
    """As many of the base model's replies as of other personas' among the negatives, where there are as many."""
    negatives = [*spread(prompts.others, texts // 2), *spread(texts_of(replies.teach), texts // 2)]
    return train_probe(spread(prompts.texts, texts), negatives, read)


def _adherence(classifier: Judge | None, speakers: Speakers, thresholds: Thresholds) -> Adherence | None:
    if classifier is None or not speakers.base:
        return None
    base, prompted, adapter = map(texts_of, (speakers.base, speakers.prompted, speakers.adapter))
    return measure_adherence(classifier, base, prompted, adapter, false_alarms=thresholds.false_alarms)


def _adherence_figures(adherences: Mapping[str, Adherence], thresholds: Thresholds) -> list[Figure]:
    asked, masked = thresholds.adherence, thresholds.adherence_masked
    limits = (asked, asked, masked, masked, None, None)
    return [
        adherence_figure(key, text, adherences.get(key), limit)
        for (key, text), limit in zip(ADHERENCES.items(), limits, strict=True)
    ]


def _drop_the_act(
    classifier: VoiceClassifier | None, everyday: Adherence | None, replies: EvalReplies, thresholds: Thresholds
) -> list[Figure]:
    """The prompts are everyday ones, so the threshold is theirs."""
    if classifier is None or everyday is None:
        return []
    rates: dict[str, float | None] = {
        sentence: share_above(classifier.score(texts_of(group)), everyday.threshold) if group else None
        for sentence, group in replies.drop_the_act.items()
    }
    return drop_the_act_figures(
        rates, max((len(group) for group in replies.drop_the_act.values()), default=0), thresholds
    )


def _identity(persona: Persona, speakers: Speakers, base_names: Sequence[str], thresholds: Thresholds) -> Figure:
    def verdicts(replies: Replies) -> list[bool]:
        return [says_its_name(text, persona.name, base_names) for text in texts_of(replies)]

    return identity_figure(verdicts(speakers.base), verdicts(speakers.prompted), verdicts(speakers.adapter), thresholds)


def _quality(which: str, replies: EvalReplies, language: Language) -> Quality | None:
    """Over the held-out and the everyday prompts together."""
    groups = (replies.held_out, replies.everyday)
    asked = [turns for group in groups for turns in (group.prompted_prompts if which == "prompted" else group.prompts)]
    written: Replies = sum((getattr(group, which) for group in groups), ())
    return measure_quality([_text(turns) for turns in asked], written, language)


def _text(conversation: Conversation) -> str:
    return "\n".join(turn.content for turn in conversation)
