"""The message shortcut "Ask a persona about this": a form, and the answer in the message's thread."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from functools import partial
from typing import Any

from bot.chat.ask_about import ANYBODY, HERE, NO_WORDS, SUGGESTED, question_about
from bot.chat.conversation import Transcript, Turn
from bot.chat.personas import choose
from bot.chat.platform import IncomingMessage
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.wording import failures_told
from bot.slack_chat.buttons import input_block, modal, plain
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, message_key, needs_permission, places_of, thread_place, user_id
from bot.slack_chat.people import People
from bot.slack_chat.pressed import respond
from bot.slack_chat.presses import Acknowledge
from bot.slack_chat.screens import SlackScreen
from bot.slack_chat.wording import mentions, words_of
from core.errors import NotFound
from core.messages import Quoted
from core.personas import Persona

SHORTCUT = FORM = "ask_about"
QUESTION, PERSONA = "question", "persona"
MAX_PERSONAS = 99
MAX_ABOUT_CHARS = 2000  # travels with the form, which takes 3,000 characters
QUESTION_FIELD = input_block(
    QUESTION,
    "Your question",
    {
        "type": "plain_text_input",
        "multiline": True,
        "initial_value": SUGGESTED,
        "max_length": 1000,
    },
)


class AskAbout:
    def __init__(
        self,
        connection: Connection,
        replies: RunningReplies,
        history: History,
        identities: Identities,
        people: People,
        personas: Mapping[str, Persona],
    ) -> None:
        self._connection = connection
        self._replies = replies
        self._history = history
        self._identities = identities
        self._people = people
        self._personas = personas

    async def on_shortcut(self, ack: Acknowledge, body: dict[str, Any]) -> None:
        await ack()
        channel, message = body["channel"]["id"], body["message"]
        about = Heard.of(message, channel=channel, team=self._connection.own.team)
        where = {
            "channel": channel,
            "ts": message["ts"],
            "thread_ts": message.get("thread_ts"),
            "url": body["response_url"],
            "author": "" if about is None or self._connection.is_own(message) else about.user,
            "text": (message.get("text") or "")[:MAX_ABOUT_CHARS],
            "remarks": () if about is None else about.remarks,
        }
        client, view = self._connection.client, modal(FORM, "Ask a persona", "Ask", where, QUESTION_FIELD, self._who())
        async with failures_told(partial(respond, body["response_url"]), "The form to ask a persona"):
            if not (message.get("text") or "").strip():
                raise NotFound(NO_WORDS)
            await attempt(lambda: client.views_open(trigger_id=body["trigger_id"], view=view))

    async def on_form(self, ack: Acknowledge, body: dict[str, Any], view: dict[str, Any]) -> None:
        await ack()
        where = json.loads(view["private_metadata"])
        with self._replies.busy():
            async with failures_told(partial(respond, where["url"]), "Asking a persona about a message"):
                await self._answer(body, view, where)

    async def _answer(self, body: dict[str, Any], view: dict[str, Any], where: dict[str, Any]) -> None:
        values, user, team = view["state"]["values"], body["user"]["id"], self._connection.own.team
        named = values[PERSONA][PERSONA]["selected_option"]["value"]
        spec = None if named == HERE else str(choose(self._personas, named))
        channel, root_ts = where["channel"], where["thread_ts"] or where["ts"]
        places = places_of(team, channel, root_ts)
        event_id = f"form:{view['id']}"
        if not self._replies.admit(event_id, user_id(user), places):
            return
        question = IncomingMessage.ending(
            await self._transcript(where, user, event_id, values[QUESTION][QUESTION].get("value") or ""),
            source=SOURCE,
            event_id=event_id,
            user_id=user_id(user),
            places=places,
            needs_permission=needs_permission(places),
            model=spec,
        )

        async def make_screen(reply: PendingReply) -> SlackScreen:
            look = self._identities.look(reply.model)
            return SlackScreen(self._connection, channel, root_ts, look, recipient=user)

        refuse = partial(respond, where["url"])
        delivered = await self._replies.answer(question, make_screen, refuse=refuse)
        if delivered is not None and delivered.error and not delivered.message_ids:
            await refuse(delivered.error)  # the bot is no member here, say

    async def _transcript(self, where: dict[str, Any], user: str, event_id: str, asked: str) -> Transcript:
        """A conversation of its own, and whose words stand in it."""
        author, own = where["author"], self._connection.own
        names = await self._people.names({user, *filter(None, [author]), *mentions(where["text"])})
        key = message_key(where["channel"], where["ts"])
        if author:
            text = words_of(where["text"], own.user, names)
        else:
            text = await self._history.words_on(key, where["text"])
        turn = Turn("user", names[user], question_about(names.get(author, own.name), text, asked), user_id(user))
        quotes = (Quoted(key, user_id(author) if author else ""), Quoted(event_id, user_id(user)))
        conversation_id = f"{thread_place(where['channel'], where['ts'])}:{event_id}"
        return Transcript(conversation_id, (turn,), quotes, remarks=tuple(where["remarks"]))

    def _who(self) -> dict[str, Any]:
        options = [_option(ANYBODY, HERE)]
        options += [_option(one.name, slug) for slug, one in list(self._personas.items())[:MAX_PERSONAS]]
        element = {"type": "static_select", "options": options, "initial_option": options[0]}
        return input_block(PERSONA, "Who answers?", element)


def _option(name: str, value: str) -> dict[str, Any]:
    return {"text": plain(textwrap.shorten(name, 75, placeholder="…")), "value": value}
