"""Persona + conversation -> the messages a model sees. The same code serves and trains. Counting tokens is injected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from core.blends import Blend
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.personas import Persona
from core.thinking import without_thoughts

# No language takes as many, so what lies beyond them cannot fit. Runs of one sign may take more, and lose a turn.
MAX_CHARS_PER_TOKEN = 16

CountTokens = Callable[[Sequence[ChatMessage]], int]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages that fit the budget. `dropped` counts the older messages that were left out."""

    messages: tuple[ChatMessage, ...]
    dropped: int = 0


def system_prompt(personas: Mapping[str, Persona], blend: Blend) -> str:
    """The system prompt of a persona or blend (the heaviest first); empty for the base model."""
    return "\n\n".join(personas[part.slug].system_prompt for part in blend.parts)


def compose(system: str, conversation: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Put the system prompt first, joined with system messages the conversation brings along.

    Chat templates allow one system message at the start at most, so later ones are gathered there in their order.
    Former replies come without their thoughts.
    """
    texts = [system, *(message.content for message in conversation if message.role == "system")]
    joined = "\n\n".join(text.strip() for text in texts if text.strip())
    turns = tuple(_without_thoughts(message) for message in conversation if message.role != "system")
    return (ChatMessage("system", joined), *turns) if joined else turns


def join_turns(turns: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The same words as turns that alternate, which many chat templates ask for; turns without words are left out."""
    worded = [turn for turn in turns if turn.content.strip()]
    return tuple(
        ChatMessage(role, "\n\n".join(turn.content for turn in group))
        for role, group in groupby(worded, key=lambda turn: turn.role)
    )


def _without_thoughts(message: ChatMessage) -> ChatMessage:
    """A turn without what the model thought aloud, which a client may have kept with its reply."""
    return replace(message, content=without_thoughts(message.content)) if message.role == "assistant" else message


def build(system: str, conversation: Sequence[ChatMessage], *, budget_tokens: int, count_tokens: CountTokens) -> Prompt:
    """Fit a conversation into `budget_tokens`, dropping the oldest turns first; the last message always stays.

    Where turns are left out, what is kept starts with a user turn. An assistant turn at the very start, such as a
    character's greeting, stays while everything fits.
    Raises InvalidInput when even the last message does not fit.
    """
    messages = compose(system, conversation)
    head = messages[:1] if messages and messages[0].role == "system" else ()
    turns = messages[len(head) :]
    if not turns or turns[-1].role != "user":
        raise InvalidInput("The conversation must end with a user message; send one to get a reply.")
    oldest = _oldest_that_may_fit(turns, budget_tokens)
    starts = [i for i, turn in enumerate(turns) if i >= oldest and (turn.role == "user" or i == 0)]

    def size_from(start: int) -> int:
        return count_tokens((*head, *join_turns(turns[start:])))

    if (size := size_from(starts[-1])) > budget_tokens:
        raise InvalidInput(
            f"The message is too long: {size} tokens with the persona's system prompt, and this model has room for"
            f" {budget_tokens}; send a shorter one."
        )
    # More turns never take fewer tokens, so the longest fitting tail is found by bisection.
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        if size_from(starts[middle]) <= budget_tokens:
            high = middle
        else:
            low = middle + 1
    return Prompt((*head, *join_turns(turns[starts[low] :])), dropped=starts[low])


def _oldest_that_may_fit(turns: Sequence[ChatMessage], budget_tokens: int) -> int:
    """Where the turns begin that are worth counting; the last is one of them.

    To render and count a conversation takes time and memory in proportion to its length, whoever sent it.
    """
    chars_left, turns_left = budget_tokens * MAX_CHARS_PER_TOKEN, budget_tokens  # every turn takes a token or more
    for index in range(len(turns) - 1, -1, -1):
        chars_left -= len(turns[index].content)
        turns_left -= 1
        if (chars_left < 0 or turns_left < 0) and index < len(turns) - 1:
            return index + 1
    return 0
