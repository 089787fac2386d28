"""Proves on the first batch that a run trains the reply and its stop token, and nothing else.

A wrong mask does not crash and its loss looks healthy: the persona babbles on, or learns to write its users' lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidData
from training.dataset_builder import Example

IGNORED_LABEL = -100


class WrongLabels(InvalidData):
    """The labels of a batch are not the reply and its stop token; the sentence shows what they are."""


class PromptNotAsServed(WrongLabels):
    """The model would be trained on another prompt than it is served."""


def stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end a reply in serving: those of the generation config, and the tokenizer's end of text."""
    ends = model.generation_config.eos_token_id
    ids = ends if isinstance(ends, list) else [ends]
    return frozenset(token for token in (*ids, tokenizer.eos_token_id) if token is not None)


def check_labels(
    batch: Mapping[str, Any],
    examples: Sequence[Example],
    template: ChatTemplate,
    tokenizer: PreTrainedTokenizerBase,
    stop_ids: frozenset[int],
) -> None:
    """Compare each row of a collated batch (`input_ids`, `labels`: [rows, tokens]) with its example.

    What comes before the first label must be the prompt as it is served, token by token; the labelled tokens must
    read as the reply, a stop token and what the template writes behind it. Raises WrongLabels.
    """
    for ids, labels, example in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), examples, strict=True):
        trained = [position for position, label in enumerate(labels) if label != IGNORED_LABEL]
        if not trained:
            raise WrongLabels(f"No token of this reply is trained: {shown(example.reply)}.")
        start, end = trained[0], trained[-1] + 1
        if len(trained) != end - start or labels[start:end] != ids[start:end]:
            raise WrongLabels(
                f"The trained tokens of this reply are not one piece of the text: {shown(example.reply)}."
            )
        if ids[:start] != template.encode(example.prompt):
            raise PromptNotAsServed(
                f"The model would be trained on the prompt {shown(tokenizer.decode(ids[:start]))}, but is served"
                f" {shown(template.render(example.prompt))}."
            )
        _check_reply(ids[start:end], example, template, tokenizer, stop_ids)


def _check_reply(
    trained_ids: list[int],
    example: Example,
    template: ChatTemplate,
    tokenizer: PreTrainedTokenizerBase,
    stop_ids: frozenset[int],
) -> None:
    text = tokenizer.decode(trained_ids)
    expected = template.render(example.prompt, reply=example.reply).removeprefix(template.render(example.prompt))
    if text != expected:
        raise WrongLabels(f"The trained text is {shown(text)}, but must be {shown(expected)}.")
    stops = [position for position, token in enumerate(trained_ids) if token in stop_ids]
    if not stops:
        raise WrongLabels(
            f"The chat template ends a reply with {shown(text[-20:])}, which is no stop token of this model, so it"
            " would never learn to stop; name the token in generation_config.json's eos_token_id."
        )
    if tokenizer.decode(trained_ids[: stops[0]]).strip() != example.reply.strip():
        raise WrongLabels(f"The trained text is {shown(text)}, but the reply is {shown(example.reply)}.")
    if tokenizer.decode([token for token in trained_ids[stops[0] :] if token not in stop_ids]).strip():
        raise WrongLabels(f"The trained text goes on behind its stop token: {shown(text)}.")


def shown(text: str) -> str:
    """A text in quotes, cut in the middle where it is long."""
    return repr(text if len(text) <= 200 else f"{text[:90]} … {text[-90:]}")
