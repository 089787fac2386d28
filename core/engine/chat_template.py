"""Renders messages in the model's own chat template: one code for serving and training. Knows no personas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from core.errors import InvalidInput
from core.messages import ChatMessage

# Models that can think aloud (Qwen3's hybrids) answer directly; other templates ignore it.
TEMPLATE_KWARGS = {"enable_thinking": False}
_PROBE = "Probe of the system role."
_GREETING = "Probe of a greeting."
# Stands before a character's greeting where a template wants the first turn to be a user's; no person's words.
OPENING = "[The conversation begins]"


class ChatTemplate:
    """The chat template of one tokenizer.

    Some templates refuse a system message (Gemma) and some drop it in silence; there the system text goes in front of
    the first user message, so that a persona's system prompt reaches every model. Some refuse or drop an assistant turn
    at the start, a character's greeting; there a user turn that only says so is put in front of it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        system, greeting, turn = ({"role": "system", "content": _PROBE}, _assistant(_GREETING), _user("Hello."))
        self.has_system_role = self._is_rendered([system, turn], _PROBE)
        self.can_begin_with_assistant = self._is_rendered([greeting, turn], _GREETING)

    def fit(self, messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
        """The messages as the template takes them: role and content, the system text moved where it must be."""
        turns = [message.to_dict() for message in messages]
        head = [turns.pop(0)] if turns and turns[0]["role"] == "system" else []
        is_moved = bool(head) and not self.has_system_role
        if turns and turns[0]["role"] == "assistant" and not is_moved and not self.can_begin_with_assistant:
            turns.insert(0, _user(OPENING))
        if not is_moved:
            return [*head, *turns]
        system_text = head[0]["content"]
        if not turns or turns[0]["role"] != "user":
            return [_user(system_text), *turns]
        return [_user(f"{system_text}\n\n{turns[0]['content']}"), *turns[1:]]

    def render(self, messages: Sequence[ChatMessage], *, reply: str | None = None) -> str:
        """The text a model reads: up to where the reply begins, or with the whole reply and its stop token.

        Raises InvalidInput for a conversation that the template refuses, such as one whose roles do not alternate.
        """
        turns = self.fit(messages)
        if reply is not None:
            turns.append({"role": "assistant", "content": reply})
        try:
            return self._apply(turns, add_generation_prompt=reply is None)
        except TemplateError as error:
            raise InvalidInput(f"The model's chat template refuses this conversation: {error}") from error

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Token ids of the prompt, up to where the reply begins."""
        return self.encode_text(self.render(messages))

    def encode_text(self, text: str) -> list[int]:
        """Token ids of rendered text; the template has written the special tokens already."""
        # verbose=False: what is too long is refused with a sentence of ours, and needs no warning in the log.
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of the prompt, up to where the reply begins."""
        return len(self.encode(messages))

    def special_token_in(self, text: str) -> str | None:
        """A special token that is written out in the text, where the tokenizer would take it for a real one.

        In any case of letters, because a template may change it.
        """
        special = {token.content for token in self._tokenizer.added_tokens_decoder.values() if token.special}
        lowered = text.lower()
        return next((token for token in sorted(special) if token.lower() in lowered), None)

    def _is_rendered(self, turns: list[dict[str, str]], text: str) -> bool:
        """Whether the template takes these turns and shows this text of them."""
        try:
            return text in self._apply(turns, add_generation_prompt=True)
        except TemplateError:
            return False

    def _apply(self, turns: list[dict[str, str]], **kwargs: Any) -> str:
        text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, **TEMPLATE_KWARGS, **kwargs)
        return text


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
