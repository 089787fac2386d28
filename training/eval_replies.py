"""Has everything answered that a measurement needs: by the base model, by it with the system prompt, by the persona."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from core.generation import AdapterRef, SamplingParams
from core.personas import Persona
from core.prompts import compose
from training.base_replies import BaseReplies
from training.data_files import spread
from training.eval_prompts import Conversation, EvalPrompts
from training.fixed_prompts import EvalLimits
from training.progress import ReportProgress
from training.reply_writer import Ask, ReplyWriter, Written, seeded

Replies = tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Speakers:
    """Replies to the same prompts in the same order; `prompted` answers some of them at most (`prompted_prompts`)."""

    prompts: tuple[Conversation, ...]
    base: Replies
    adapter: Replies
    prompted_prompts: tuple[Conversation, ...] = ()
    prompted: Replies = ()


@dataclass(frozen=True, slots=True)
class EvalReplies:
    """All replies of a measurement, in the order of their EvalPrompts."""

    held_out: Speakers
    everyday: Speakers
    identity: Speakers
    facts: Speakers
    drop_the_act: Mapping[str, Replies]
    formats: Speakers
    refusals: Speakers
    teach: Replies


def write_all(
    writer: ReplyWriter,
    base_replies: BaseReplies,
    persona: Persona,
    adapter: AdapterRef,
    prompts: EvalPrompts,
    limits: EvalLimits,
    progress: ReportProgress,
) -> EvalReplies:
    """Replies are sampled as served: the base model's defaults, and for the persona its [sampling] over them.

    Facts and refusals are asked greedily, so that chance decides nothing there. Raises what ReplyWriter.write raises.
    """
    own = replace(writer.default_sampling, max_new_tokens=limits.max_new_tokens)
    voiced = persona.sampling.apply(own)

    def ask(group: Sequence[Conversation], sampling: SamplingParams, system: str = "") -> list[Ask]:
        return [seeded(compose(system, turns), sampling) for turns in group]

    def in_voice(*groups: Sequence[Conversation]) -> list[list[Ask]]:
        return [ask(group, voiced, persona.system_prompt) for group in groups]

    questions = prompts.questions
    # What is fixed is asked in one piece, which is the same for every persona.
    fixed = [ask(prompts.everyday, own), ask(prompts.identity, own)]
    fixed += [ask(group, _greedy(own)) for group in (questions, prompts.refusals)]
    everyday, identity, facts, refused = _parts(fixed, base_replies.write(_flat(fixed), "Base model", progress))
    personal = [ask(prompts.held_out, own), ask(prompts.teach, own)]
    held_out, teach = _parts(
        personal, base_replies.write(_flat(personal), "Base model on the persona's prompts", progress)
    )
    some = [tuple(spread(group, limits.prompted)) for group in (prompts.held_out, prompts.everyday)]
    asked = in_voice(*some, prompts.identity if limits.prompted else ())
    prompted = _parts(asked, writer.write(_flat(asked), None, "System prompt only", progress))
    asked = in_voice(
        prompts.held_out, prompts.everyday, prompts.identity, prompts.formats, *prompts.drop_the_act.values()
    )
    asked += [ask(group, _greedy(voiced), persona.system_prompt) for group in (questions, prompts.refusals)]
    *voices, answers, refusals = _parts(asked, writer.write(_flat(asked), adapter, "Adapter", progress))
    return EvalReplies(
        Speakers(prompts.held_out, held_out, voices[0], some[0], prompted[0]),
        Speakers(prompts.everyday, everyday, voices[1], some[1], prompted[1]),
        Speakers(prompts.identity, identity, voices[2], prompts.identity, prompted[2]),
        Speakers(questions, facts, answers),
        dict(zip(prompts.drop_the_act, voices[4:], strict=True)),
        Speakers(prompts.formats, (), voices[3]),
        Speakers(prompts.refusals, refused, refusals),
        teach,
    )


def _greedy(sampling: SamplingParams) -> SamplingParams:
    """The likeliest token each time, the repetition penalty as served."""
    return replace(sampling, temperature=0.0)


def _flat(groups: Sequence[Sequence[Ask]]) -> list[Ask]:
    return list(chain.from_iterable(groups))


def _parts(groups: Sequence[Sequence[Ask]], replies: Replies) -> list[Replies]:
    """The replies to each group, which were written in one piece so that the engine's slots never run empty."""
    left = iter(replies)
    return [tuple(islice(left, len(group))) for group in groups]
