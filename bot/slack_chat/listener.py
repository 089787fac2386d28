"""Which messages are meant for the bot, and what it makes of them: a question with its conversation and places.

Mentions and direct messages always; in a thread where it has spoken, all that is meant for nobody else, and in a
free-talk channel everything. A mention comes as two events, and is answered once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

from bot.chat.bindings import Bindings
from bot.chat.faces import Faces
from bot.chat.free_talk import FreeTalk
from bot.chat.platform import IncomingMessage
from bot.chat.replies import RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.wording import is_silent, sentence_of
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, is_dm, needs_permission
from bot.slack_chat.screens import SlackScreen
from bot.slack_chat.speaker import Speaker
from bot.slack_chat.typed import TypedCommands
from bot.slack_chat.wording import mentions, words_of
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store

MAX_REMEMBERED = 4096

logger = logging.getLogger(__name__)


class Listener:
    """Hears every message once; `hear` it."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        replies: RunningReplies,
        history: History,
        identities: Identities,
        faces: Faces,
        bindings: Bindings,
        free_talk: FreeTalk,
        speaker: Speaker,
        typed: TypedCommands,
    ) -> None:
        self._connection = connection
        self._store = store
        self._replies = replies
        self._history = history
        self._identities = identities
        self._faces = faces
        self._bindings = bindings
        self._free_talk = free_talk
        self._speaker = speaker
        self._typed = typed
        self._joined: OrderedDict[str, None] = OrderedDict()  # threads that are known to be the bot's, too

    async def hear(self, event: Mapping[str, Any], team: str) -> None:
        """Answer a message that is meant for the bot."""
        message = Heard.of(event, channel=event["channel"], team=team)
        if message is None or self._connection.is_own(dict(event)):
            return
        with self._replies.busy():
            is_meant = self._is_called(message)
            try:
                with self._replies.recording(message.key):
                    command = self._typed.find(words_of(message.text, self._connection.own.user, {}))
                    is_command = command is not None and (is_meant or message.thread_ts is not None)
                    is_meant = is_meant or is_command or await self._is_followed(message)
                    if command is not None and is_command:
                        await self._obey(message, *command)
                    elif is_meant:
                        await self._answer(message)
            except PersonasError as error:
                if is_meant and not message.is_bot:
                    await self.say_why_not(message, error)

    async def question_in(self, message: Heard, event_id: str) -> IncomingMessage:
        """What this message asks, with its conversation. Raises ScreenUnreachable."""
        return IncomingMessage.ending(
            await self._history.read(message),
            source=SOURCE,
            event_id=event_id,
            user_id=message.user_id,
            places=message.places,
            needs_permission=needs_permission(message.places),
            question_id=message.key,
            is_bot=message.is_bot,
        )

    async def screen_for(self, question: Heard, reply: PendingReply) -> SlackScreen:
        return self._identities.screen(question, reply)

    async def say_why_not(self, message: Heard, error: PersonasError) -> None:
        """Tell the person who wrote a message why it gets no answer, where they are to know."""
        if not is_silent(error):
            await self.say(message, sentence_of(error))

    async def say(self, message: Heard, sentence: str) -> None:
        """Say something in answer to a message."""
        await self._speaker.say(message.channel, message.root_ts, sentence)

    async def _answer(self, message: Heard) -> None:
        """Raises NotAllowed and TooFast, before anything is read."""
        event_id = f"message:{message.key}"
        if not self._admit(event_id, message):
            return
        question = await self.question_in(message, event_id)
        if question.transcript is None or not question.transcript.is_question:
            await self._answer_silence(message, question)
            return
        self._join(message.conversation_id)
        await self._replies.answer(question, partial(self.screen_for, message), refuse=partial(self.say, message))

    async def _obey(self, message: Heard, name: str, words: str) -> None:
        if not message.is_bot and self._admit(f"message:{message.key}", message):
            await self._typed.run(name, words, message)

    def _admit(self, event_id: str, message: Heard) -> bool:
        """A thread that is about to begin counts as its channel, so that many of them are not many channels."""
        counted = message.places if message.thread_ts is not None else message.places[1:]
        return self._replies.admit(event_id, message.user_id, counted, is_bot=message.is_bot)

    def _is_called(self, message: Heard) -> bool:
        """Whether the message alone says that it is meant for the bot."""
        return is_dm(message.channel) or self._connection.own.user in mentions(message.text)

    async def _is_followed(self, message: Heard) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if message.is_bot or mentions(message.text) or "<!" in message.text:
            return False
        if message.thread_ts is not None:
            chosen = await self._free_talk.chosen_in(message.conversation_id)
            if chosen is not None or await self._is_in(message.conversation_id):
                return chosen is not False
        return bool(await self._free_talk.chosen_in(*message.places[1:]))

    async def _is_in(self, conversation_id: str) -> bool:
        """Whether the bot has answered in this thread before."""
        if conversation_id not in self._joined:
            async with self._store.read() as session:
                if not await exchanges.has_any(session, SOURCE, conversation_id):
                    return False
        self._join(conversation_id)
        return True

    def _join(self, conversation_id: str) -> None:
        self._joined[conversation_id] = None
        self._joined.move_to_end(conversation_id)
        if len(self._joined) > MAX_REMEMBERED:
            self._joined.popitem(last=False)

    async def _answer_silence(self, message: Heard, question: IncomingMessage) -> None:
        """Somebody calls, but there are no words to answer."""
        if message.is_bot:
            return
        if message.remarks:
            await self.say(message, " ".join(message.remarks))
        elif self._is_called(message):
            model = await self._bindings.model_in(question.places)
            look = self._identities.look(model)
            await self._speaker.say(message.channel, message.root_ts, self._faces.greeting(model), look=look)
