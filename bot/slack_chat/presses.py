"""What a press of a button does: the one table of it.

A press is acknowledged first, within the three seconds that Slack waits. A handler raises PersonasError with a sentence
for the person who pressed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from bot.chat.replies import RunningReplies
from bot.chat.wording import is_silent, sentence_of
from bot.slack_chat.judgements import Judgements, sent_form
from bot.slack_chat.pressed import Pressed
from bot.slack_chat.rewrites import Rewrites
from bot.slack_chat.speaker import Speaker
from core.errors import PersonasError

Handler: TypeAlias = Callable[[Pressed], Awaitable[None]]
Acknowledge: TypeAlias = Callable[..., Awaitable[Any]]

OUR_MISTAKE = "That did not work because of a mistake in this bot, which is now in its log; try again later."
WITHOUT_EFFECT = "place"  # 2/3, which Slack cannot show as text among buttons

logger = logging.getLogger(__name__)


def table_of(judgements: Judgements, rewrites: Rewrites) -> Mapping[str, Handler]:
    return MappingProxyType(
        {
            "up": judgements.like,
            "down": judgements.dislike,
            "unvote": judgements.take_thumb_back,
            "best": judgements.pick,
            "unpick": judgements.take_pick_back,
            "better": judgements.open_form,
            "again": rewrites.again,
            "previous": rewrites.previous,
            "next": rewrites.following,
            "stop": rewrites.stop,
            "delete": rewrites.delete,
        }
    )


class Presses:
    def __init__(self, replies: RunningReplies, judgements: Judgements, rewrites: Rewrites, speaker: Speaker) -> None:
        self._replies = replies
        self._judgements = judgements
        self._handlers = table_of(judgements, rewrites)
        self._speaker = speaker

    async def on_press(self, ack: Acknowledge, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        pressed = Pressed.of(body, action)
        if pressed.verb != WITHOUT_EFFECT and pressed.verb in self._handlers:
            await self._do(self._handlers[pressed.verb], pressed)

    async def on_form(self, ack: Acknowledge, body: dict[str, Any], view: dict[str, Any]) -> None:
        await ack()
        await self._do(self._judgements.keep, sent_form(body, view))

    async def _do(self, handler: Handler, pressed: Pressed) -> None:
        with self._replies.busy():
            try:
                await handler(pressed)
            except PersonasError as error:
                if not is_silent(error):
                    await self._tell(pressed, sentence_of(error))
            except Exception:  # the boundary of a press: a mistake in one leaves the others alone
                logger.exception("A press of %s failed", pressed.verb)
                await self._tell(pressed, OUR_MISTAKE)

    async def _tell(self, pressed: Pressed, sentence: str) -> None:
        await self._speaker.tell(pressed.channel, pressed.thread_ts, pressed.user, sentence)
