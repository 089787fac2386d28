"""The App Home, where all personas are shown, and what Slack's chat with the bot offers to begin with."""

from __future__ import annotations

import logging
from typing import Any

from bot.chat.gallery import Gallery, PersonaCard
from bot.chat.platform import ScreenGone, ScreenRefused
from bot.slack_chat.asked import Asked
from bot.slack_chat.buttons import plain
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.wording import escaped
from core.errors import PersonasError

MAX_SHOWN = 40  # a view holds 100 blocks
MAX_PROMPTS = 4
TITLE = "Whom would you like to talk to?"
HOW = "Mention me in a channel, or write to me here. `/persona NAME` chooses who answers there."

logger = logging.getLogger(__name__)


class Home:
    def __init__(self, connection: Connection, gallery: Gallery) -> None:
        self._connection = connection
        self._gallery = gallery

    async def on_opened(self, event: dict[str, Any]) -> None:
        """Somebody looks at the bot's own page: its gallery, or the chat with it."""
        if event.get("tab") == "messages":
            await self.offer_prompts(event["channel"])
            return
        try:
            blocks: list[dict[str, Any]] = [{"type": "header", "text": plain("Personas")}, _section(HOW)]
            for card in await self._cards():
                blocks += [{"type": "divider"}, _section(card)]
            client, view = self._connection.client, {"type": "home", "blocks": blocks}
            await attempt(lambda: client.views_publish(user_id=event["user"], view=view))
        except PersonasError as error:
            logger.info("The App Home cannot be shown: %s", error)

    async def offer_prompts(self, channel: str, thread_ts: str | None = None) -> None:
        """Offer to talk to the first few personas, in a chat with the bot or in one thread of it."""
        prompts = [
            {"title": f"{one.file.emoji} {one.name}", "message": f"!persona {one.slug}"}
            for one in self._gallery.personas[:MAX_PROMPTS]
        ]
        client = self._connection.client
        fields: dict[str, Any] = {} if thread_ts is None else {"thread_ts": thread_ts}
        try:
            await attempt(
                lambda: client.assistant_threads_setSuggestedPrompts(
                    channel_id=channel, title=TITLE, prompts=prompts, **fields
                )
            )
        except (ScreenGone, ScreenRefused) as error:
            logger.info("No prompts can be offered: %s", error)

    async def personas(self, asked: Asked) -> None:
        """/personas: the gallery, to one person alone."""
        await asked.tell("\n\n".join(await self._cards()).replace("*", "**"))

    async def _cards(self) -> list[str]:
        """What is known of each persona, in Slack's own markup. Raises StoreUnavailable."""
        return [_card(one) for one in await self._gallery.cards(self._gallery.personas[:MAX_SHOWN])]


def _card(card: PersonaCard) -> str:
    one, facts = card.persona, filter(None, (f"answers with {card.adapter}", card.evaluation, card.thumbs))
    title = f"{one.file.emoji} *{escaped(one.name)}* · `/persona {one.slug}`"
    return f"{title}\n{escaped(one.file.description)}\n{' · '.join(facts)}"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}
