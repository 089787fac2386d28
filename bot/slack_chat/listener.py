"""Which messages are meant for the bot, and what the shared rules need to know of one.

Mentions and direct messages always; in a thread where it has spoken, all that is meant for nobody else, and in a
free-talk channel everything. A mention comes as two events, and is answered once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.chat.conversation import Transcript
from bot.chat.free_talk import FreeTalk
from bot.chat.platform import ReplyScreen
from bot.chat.questions import Questions, say_why_not
from bot.chat.replies import MakeScreen, RunningReplies
from bot.chat.responder import PendingReply
from bot.slack_chat.connection import Connection
from bot.slack_chat.heard import Heard
from bot.slack_chat.history import History
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, is_dm, needs_permission
from bot.slack_chat.speaker import Speaker
from bot.slack_chat.typed import TypedCommands
from bot.slack_chat.wording import mentions, words_of
from core.errors import PersonasError
from core.store import exchanges
from core.store.db import Store
from core.store.models import Exchange

MAX_REMEMBERED = 4096


class Listener:
    """Hears every message once; `hear` it."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        replies: RunningReplies,
        questions: Questions,
        history: History,
        identities: Identities,
        free_talk: FreeTalk,
        speaker: Speaker,
        typed: TypedCommands,
    ) -> None:
        self.connection = connection
        self.history = history
        self.identities = identities
        self.speaker = speaker
        self._store = store
        self._replies = replies
        self._questions = questions
        self._free_talk = free_talk
        self._typed = typed
        self._joined: OrderedDict[str, None] = OrderedDict()  # threads that are known to be the bot's, too

    async def hear(self, event: Mapping[str, Any], team: str) -> None:
        """Answer a message that is meant for the bot, and obey a typed command."""
        message = Heard.of(event, channel=event["channel"], team=team)
        if message is None or self.connection.is_own(dict(event)):
            return
        question = SlackQuestion(self, message)
        command = self._typed.find(words_of(message.text, self.connection.own.user, {}))
        if command is not None and (question.is_called or message.thread_ts is not None):
            await self._obey(question, *command)
        else:
            await self._questions.hear(question)

    async def is_followed(self, message: Heard) -> bool:
        """Whether every message here is answered, and this one is meant for nobody else."""
        if message.is_bot or mentions(message.text) or "<!" in message.text:
            return False
        if message.thread_ts is not None:
            chosen = await self._free_talk.chosen_in(message.conversation_id)
            if chosen is not None or await self._is_in(message.conversation_id):
                return chosen is not False
        return bool(await self._free_talk.chosen_in(*message.places[1:]))

    async def _obey(self, question: SlackQuestion, name: str, words: str) -> None:
        if question.is_bot:
            return
        with self._replies.busy():
            try:
                if self._replies.admit(f"message:{question.key}", question.user_id, question.counted_places):
                    await self._typed.run(name, words, question.message)
            except PersonasError as error:
                await say_why_not(question, error)

    async def _is_in(self, conversation_id: str) -> bool:
        """Whether the bot has answered in this thread before."""
        if conversation_id not in self._joined:
            async with self._store.read() as session:
                if not await exchanges.has_any(session, SOURCE, conversation_id):
                    return False
        self._joined[conversation_id] = None
        self._joined.move_to_end(conversation_id)
        if len(self._joined) > MAX_REMEMBERED:
            self._joined.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True)
class SlackQuestion:
    """Implements `bot.chat.questions.Question`."""

    listener: Listener
    message: Heard

    @property
    def key(self) -> str:
        return self.message.key

    @property
    def user_id(self) -> str:
        return self.message.user_id

    @property
    def is_bot(self) -> bool:
        return self.message.is_bot

    @property
    def is_called(self) -> bool:
        return is_dm(self.message.channel) or self.listener.connection.own.user in mentions(self.message.text)

    @property
    def places(self) -> tuple[str, ...]:
        return self.message.places

    @property
    def counted_places(self) -> tuple[str, ...]:
        """A thread that is about to begin counts as its channel, so that many of them are not many channels."""
        return self.places if self.message.thread_ts is not None else self.places[1:]

    @property
    def needs_permission(self) -> bool:
        return needs_permission(self.places)

    async def is_followed(self) -> bool:
        return await self.listener.is_followed(self.message)

    def show_heard(self) -> None:
        """The status of the reply says it."""

    async def read(self, former: Exchange | None = None) -> Transcript:
        return await self.listener.history.read(self.message)

    async def screen(self, reply: PendingReply) -> ReplyScreen:
        return self.listener.identities.screen(self.message, reply)

    async def screen_on(self, onto: Sequence[str]) -> MakeScreen | None:
        if not onto:
            return None

        async def make_screen(reply: PendingReply) -> ReplyScreen:
            return self.listener.identities.screen_on(onto[0], self.message.root_ts, reply.model)

        return make_screen

    async def say(self, sentence: str, *, model: str | None = None) -> object:
        look = None if model is None else self.listener.identities.look(model)
        return await self.listener.speaker.say(self.message.channel, self.message.root_ts, sentence, look=look)
