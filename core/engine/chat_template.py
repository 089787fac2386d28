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


class ChatTemplate:
    """The chat template of one tokenizer.

    Some templates refuse a system message (Gemma) and some drop it in silence; there the system text goes in front of
    the first user message, so that a persona's system prompt reaches every model.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.has_system_role = self._is_system_rendered()

    def fit(self, messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
        """The messages as the template takes them: role and content, the system text moved where it must be."""
        if self.has_system_role or not messages or messages[0].role != "system":
            return [message.to_dict() for message in messages]
        system, *turns = messages
        if not turns or turns[0].role != "user":
            return [{"role": "user", "content": system.content}, *(turn.to_dict() for turn in turns)]
        first = {"role": "user", "content": f"{system.content}\n\n{turns[0].content}"}
        return [first, *(turn.to_dict() for turn in turns[1:])]

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

    def _is_system_rendered(self) -> bool:
        turns = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "Hello."}]
        try:
            return _PROBE in self._apply(turns, add_generation_prompt=True)
        except TemplateError:
            return False

    def _apply(self, turns: list[dict[str, str]], **kwargs: Any) -> str:
        text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, **TEMPLATE_KWARGS, **kwargs)
        return text
