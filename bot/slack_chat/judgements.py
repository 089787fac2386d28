"""👍, 👎 and ✅ under a reply, taken back with another press, and 📝 after a 👎: a form for a better answer."""

from __future__ import annotations

import json
from typing import Any

from bot.chat.judging import CHOSEN, INVITATION, KEPT, NEEDED, TAKEN_BACK, THANKS, Judging
from bot.slack_chat.buttons import actions, button, plain
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import CAPABILITIES, Connection
from bot.slack_chat.names import needs_permission
from bot.slack_chat.pressed import Pressed, respond
from bot.slack_chat.speaker import Speaker
from core.errors import PermissionNeeded

FORM, FIELD = "better", "better"
MAX_CHARS = 3000  # of a text field


class Judgements:
    """Raises NotFound, InvalidInput, PermissionNeeded and StoreUnavailable, with a sentence for who pressed."""

    def __init__(self, connection: Connection, judging: Judging, speaker: Speaker) -> None:
        self._connection = connection
        self._judging = judging
        self._speaker = speaker

    async def like(self, pressed: Pressed) -> None:
        await self._judging.judge(pressed.value, pressed.user_id, label=True)
        await self._tell(pressed, THANKS.format(thumb="👍"), _take_back("unvote", pressed))

    async def dislike(self, pressed: Pressed) -> None:
        """Besides, a person who dislikes an answer may write a better one, where that could be kept."""
        await self._judging.judge(pressed.value, pressed.user_id, label=False)
        obstacle = await self._judging.obstacle_to_better_answer(
            pressed.user_id, pressed.places, needs_permission=needs_permission(pressed.places)
        )
        words = INVITATION if obstacle is None else NEEDED[obstacle].format(place=CAPABILITIES.wide_place)
        write = [button("better", pressed.value, "📝 Write a better answer")] if obstacle is None else []
        await self._tell(pressed, f"{THANKS.format(thumb='👎')} {words}", *write, _take_back("unvote", pressed))

    async def take_thumb_back(self, pressed: Pressed) -> None:
        await self._judging.take_thumb_back(pressed.value, pressed.user_id)
        await respond(pressed.response_url, TAKEN_BACK, replaces=True)

    async def pick(self, pressed: Pressed) -> None:
        """Prefer the variant that is shown to every other one."""
        count = await self._judging.pick(pressed.value, pressed.user_id)
        await self._tell(pressed, CHOSEN.format(count=count), _take_back("unpick", pressed))

    async def take_pick_back(self, pressed: Pressed) -> None:
        await self._judging.take_pick_back(pressed.value, pressed.user_id)
        await respond(pressed.response_url, TAKEN_BACK, replaces=True)

    async def open_form(self, pressed: Pressed) -> None:
        where = {"value": pressed.value, "channel": pressed.channel, "thread_ts": pressed.thread_ts}
        field = {"type": "plain_text_input", "action_id": FIELD, "multiline": True, "max_length": MAX_CHARS}
        view = {
            "type": "modal",
            "callback_id": FORM,
            "private_metadata": json.dumps(where),
            "title": plain("A better answer"),
            "submit": plain("Send"),
            "close": plain("Cancel"),
            "blocks": [
                {
                    "type": "input",
                    "block_id": FIELD,
                    "label": plain("What should the answer have been?"),
                    "element": field,
                }
            ],
        }
        client = self._connection.client
        await attempt(lambda: client.views_open(trigger_id=pressed.trigger_id, view=view))

    async def keep(self, pressed: Pressed) -> None:
        """The form was sent. Its text is kept only where everybody has agreed to that."""
        obstacle = await self._judging.keep_better_answer(
            pressed.value,
            pressed.user_id,
            pressed.words,
            pressed.places,
            needs_permission=needs_permission(pressed.places),
        )
        if obstacle is not None:
            raise PermissionNeeded(NEEDED[obstacle].format(place=CAPABILITIES.wide_place))
        await self._tell(pressed, KEPT)

    async def _tell(self, pressed: Pressed, sentence: str, *buttons: dict[str, Any]) -> None:
        blocks = [actions(*buttons)] if buttons else []
        await self._speaker.tell(pressed.channel, pressed.thread_ts, pressed.user, sentence, blocks)


def sent_form(body: dict[str, Any], view: dict[str, Any]) -> Pressed:
    """A form as it came back: where its button stood it says itself."""
    where = json.loads(view["private_metadata"])
    return Pressed(
        verb=FORM,
        value=where["value"],
        team=(body.get("team") or {}).get("id") or "",
        channel=where["channel"],
        user=body["user"]["id"],
        thread_ts=where["thread_ts"],
        words=view["state"]["values"][FIELD][FIELD].get("value") or "",
    )


def _take_back(verb: str, pressed: Pressed) -> dict[str, Any]:
    return button(verb, pressed.value, "Take it back")
