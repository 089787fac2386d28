"""Presses of the buttons under a reply, and forms that were sent, as `bot.chat.presses` takes them.

A press is acknowledged first, within the three seconds that Slack waits.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bot.chat.buttons import ReplyButtons
from bot.chat.platform import ReplyScreen
from bot.chat.presses import FurtherButton, Presses, ShownReply
from bot.chat.replies import RunningReplies
from bot.chat.wording import failures_told
from bot.slack_chat.buttons import actions, button, input_block, modal
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import needs_permission
from bot.slack_chat.people import People
from bot.slack_chat.pressed import Pressed, respond
from bot.slack_chat.speaker import Speaker
from core.errors import PermissionNeeded

Acknowledge: TypeAlias = Callable[..., Awaitable[Any]]

FORM = FIELD = "better"
MAX_CHARS = 3000  # of a text field


@dataclass(frozen=True, slots=True)
class PressesHere:
    """Hears presses on Slack, and hands them to `presses`."""

    connection: Connection
    presses: Presses
    replies: RunningReplies
    identities: Identities
    people: People
    speaker: Speaker

    async def on_press(self, ack: Acknowledge, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        press = _Press(self, Pressed.of(body, action))
        with self.replies.busy():
            async with failures_told(press.tell, f"A press of {press.pressed.verb}"):
                await self.presses.do(press.pressed.verb, press)

    async def on_form(self, ack: Acknowledge, body: dict[str, Any], view: dict[str, Any]) -> None:
        """A better answer was sent. Where its button stood the form says itself."""
        await ack()
        where = json.loads(view["private_metadata"])
        channel, team = where["channel"], (body.get("team") or {}).get("id") or ""
        user, thread_ts = body["user"]["id"], where["thread_ts"]
        press = _Press(self, Pressed(FORM, where["value"], team, channel, user, thread_ts=thread_ts))
        with self.replies.busy():
            async with failures_told(press.tell, "A form for a better answer"):
                words = view["state"]["values"][FIELD][FIELD].get("value") or ""
                await self.presses.keep_better_answer(press, words)


class _Press:
    """Implements `bot.chat.presses.Press`."""

    def __init__(self, here: PressesHere, pressed: Pressed) -> None:
        self._here = here
        self.pressed = pressed
        self.exchange_id = pressed.value
        self.key = pressed.key
        self.event_id = f"regenerate:{pressed.trigger_id or pressed.key}"
        self.user_id = pressed.user_id
        self.places = pressed.places
        self.needs_permission = needs_permission(pressed.places)

    async def may_manage(self) -> bool:
        try:
            return await self._here.people.is_admin(self.pressed.user)
        except PermissionNeeded:  # Slack does not say
            return False

    async def screen_on(self, shown: ShownReply, model: str) -> tuple[ReplyScreen, Sequence[str]]:
        return self._here.identities.screen_on(shown.pages[0], self.pressed.thread_ts, model), shown.pages

    async def tell(self, sentence: str, *buttons: FurtherButton) -> None:
        drawn = [button(one.verb, self.exchange_id, f"{one.emoji} {one.label}".strip()) for one in buttons]
        pressed, blocks = self.pressed, [actions(*drawn)] if drawn else []
        await self._here.speaker.tell(pressed.channel, pressed.thread_ts, pressed.user, sentence, blocks)

    async def replace(self, sentence: str) -> None:
        await respond(self.pressed.response_url, sentence, replaces=True)

    async def draw(self, buttons: ReplyButtons) -> None:
        """Slack changes no buttons without the words above them."""

    async def open_form(self) -> None:
        where = {"value": self.exchange_id, "channel": self.pressed.channel, "thread_ts": self.pressed.thread_ts}
        field = {"type": "plain_text_input", "multiline": True, "max_length": MAX_CHARS}
        asked = input_block(FIELD, "What should the answer have been?", field)
        view = modal(FORM, "A better answer", "Send", where, asked)
        client, trigger = self._here.connection.client, self.pressed.trigger_id
        await attempt(lambda: client.views_open(trigger_id=trigger, view=view))
