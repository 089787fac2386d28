"""Finds the conversation that an API request goes on with, so that its slot is reused. Knows no HTTP.

An OpenAI request carries the whole conversation but no id of it, and two people who ask the same first question must
not wait for each other. So a new conversation gets an id of its own, and only the request that repeats a finished
reply of it, word for word, takes that id up again; the next one with the same words starts afresh.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Sequence

from core.messages import ChatMessage

MAX_REMEMBERED = 4096


class FollowUps:
    """Finished conversations by what they said, in memory only: forgetting one costs a prefill, nothing else."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()

    def claim(self, user: str, model: str, messages: Sequence[ChatMessage]) -> str:
        """The id of the conversation that `messages` continues, or a fresh one. One claim takes it."""
        return self._ids.pop(_key(user, model, messages[:-1]), None) or f"api:{uuid.uuid4().hex}"

    def remember(
        self, conversation_id: str, user: str, model: str, messages: Sequence[ChatMessage], reply: str
    ) -> None:
        """Note where a conversation stands after `reply`, for the request that follows it up."""
        self._ids[_key(user, model, (*messages, ChatMessage("assistant", reply)))] = conversation_id
        if len(self._ids) > MAX_REMEMBERED:
            self._ids.popitem(last=False)


def _key(user: str, model: str, messages: Sequence[ChatMessage]) -> str:
    turns = [(message.role, message.content) for message in messages]
    return hashlib.sha256(json.dumps([user, model, turns]).encode()).hexdigest()
