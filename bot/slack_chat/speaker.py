"""Says something that is no reply: in a thread, or to one person alone. Nothing of it pings anyone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bot.chat.platform import ScreenGone, ScreenRefused
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.sending import NO_UNFOLDING, Look, message_fields

logger = logging.getLogger(__name__)


class Speaker:
    """What cannot be said is logged: nobody is left to be told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def say(self, channel: str, thread_ts: str | None, sentence: str, *, look: Look | None = None) -> bool:
        """In public, as the bot or as a persona; False where Slack does not let it be said."""
        face = look.fields if look is not None and self._connection.can_wear_faces else {}
        client, fields = self._connection.client, {**message_fields(sentence), **face, **NO_UNFOLDING}
        try:
            await attempt(lambda: client.chat_postMessage(channel=channel, thread_ts=thread_ts, **fields))
        except (ScreenGone, ScreenRefused) as error:
            logger.info("A word could not be said: %s", error)
            return False
        return True

    async def tell(
        self, channel: str, thread_ts: str | None, user: str, sentence: str, blocks: Sequence[dict[str, Any]] = ()
    ) -> None:
        """To one person alone, who sees it where they are."""
        client = self._connection.client
        fields = message_fields(sentence, blocks)
        try:
            await attempt(lambda: client.chat_postEphemeral(channel=channel, thread_ts=thread_ts, user=user, **fields))
        except (ScreenGone, ScreenRefused) as error:
            logger.info("Somebody could not be told: %s", error)
