"""Messages to token ids and back. What people wrote stays text: it can never act as a turn of the conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from core.engine.chat_template import ChatTemplate
from core.errors import InvalidInput
from core.messages import ChatMessage
from core.thinking import opens_thoughts


class ChatTokens:
    """The only way text enters and leaves the engine."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer)
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        longest_first = sorted(special | set(tokenizer.all_special_tokens), key=len, reverse=True)
        # Whatever the case, since a chat template may change it: some read users in lower case.
        self._special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)

    @property
    def begins_in_thought(self) -> bool:
        """Whether the chat template opens thoughts before a reply."""
        return opens_thoughts(self._template.render([ChatMessage("user", "Hello.")]))

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Token ids of the conversation, up to where the reply begins.

        A special token that is written out in a message is spelled apart ("<|im_end|>" becomes "< |im_end|>").
        Raises InvalidInput for a conversation the chat template refuses, and for characters that are not text.
        """
        harmless = [ChatMessage(message.role, self._spell_apart(message.content)) for message in messages]
        return self._template.encode(harmless)

    def decode(self, tokens: list[int]) -> str:
        """Text of these tokens without the special ones, and without NUL, which no later message may hold."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.replace("\0", "")

    def _spell_apart(self, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput("A message holds half of a character (a lone surrogate); send it as UTF-8.") from error
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
