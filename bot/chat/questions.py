"""Questions that people write into a chat: heard, admitted, read, answered, and answered once more. Knows no SDK.

A platform tells of a message as a `Question`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.chat.bindings import Bindings
from bot.chat.conversation import Transcript
from bot.chat.faces import Faces
from bot.chat.platform import Capabilities, IncomingMessage, ReplyScreen
from bot.chat.replies import MakeScreen, RunningReplies
from bot.chat.responder import PendingReply
from bot.chat.wording import is_silent, sentence_of
from core.errors import PersonasError
from core.store.models import Exchange


class Question(Protocol):
    """A message that somebody wrote, which may be meant for the bot."""

    @property
    def key(self) -> str:
        """The message's id in the store."""

    @property
    def user_id(self) -> str: ...

    @property
    def is_bot(self) -> bool: ...

    @property
    def is_called(self) -> bool:
        """Whether the message alone, without a look into the store, says that it is meant for the bot."""

    @property
    def places(self) -> tuple[str, ...]: ...

    @property
    def counted_places(self) -> tuple[str, ...]:
        """Where it counts against the pace; the narrowest first."""

    @property
    def needs_permission(self) -> bool:
        """Whether those who manage the place decide what may be kept there."""

    async def is_followed(self) -> bool:
        """Whether it is meant for the bot although it does not call it. Raises StoreUnavailable."""

    def show_heard(self) -> None:
        """Show at once that it will be answered, where the platform can, and wait for nothing."""

    async def read(self, former: Exchange | None = None) -> Transcript:
        """The conversation that this message ends; `former` answered it before it was edited.

        Raises ScreenUnreachable.
        """

    async def screen(self, reply: PendingReply) -> ReplyScreen:
        """Where the answer is shown."""

    async def screen_on(self, onto: Sequence[str]) -> MakeScreen | None:
        """How these messages, which show an earlier answer, are rewritten; None where they cannot be."""

    async def say(self, sentence: str, *, model: str | None = None) -> object:
        """Say something in answer to it, as `model` where personas have faces of their own. Raises nothing."""


class Questions:
    """`hear` every message once."""

    def __init__(self, platform: Capabilities, replies: RunningReplies, faces: Faces, bindings: Bindings) -> None:
        self._platform = platform
        self._replies = replies
        self._faces = faces
        self._bindings = bindings

    async def hear(self, question: Question) -> None:
        """Answer a message if it is meant for the bot."""
        is_meant = question.is_called
        with self._replies.busy():
            try:
                with self._replies.recording(question.key):
                    is_meant = is_meant or await question.is_followed()
                    if is_meant:
                        await self._answer(question)
            except PersonasError as error:
                if is_meant and not question.is_bot:
                    await say_why_not(question, error)

    async def answer_again(self, question: Question, event_id: str, former: Exchange, onto: Sequence[str]) -> None:
        """Answer a message that was edited, in the messages that show its former answer where that goes.

        Raises NotAllowed and TooFast, before anything is read, and ScreenUnreachable.
        """
        if not self._replies.admit(event_id, question.user_id, question.counted_places):
            return
        transcript = await question.read(former)
        if transcript.is_question:
            message, make_screen = self._incoming(question, event_id, transcript), await question.screen_on(onto)
            rewritten = () if make_screen is None else onto
            await self._replies.answer(message, make_screen or question.screen, refuse=question.say, onto=rewritten)

    async def _answer(self, question: Question) -> None:
        """Raises what `answer_again` does."""
        event_id = f"message:{question.key}"
        if not self._replies.admit(event_id, question.user_id, question.counted_places, is_bot=question.is_bot):
            return
        question.show_heard()
        transcript = await question.read()
        if transcript.is_question:
            message = self._incoming(question, event_id, transcript)
            await self._replies.answer(message, question.screen, refuse=question.say)
        elif not question.is_bot:
            await self._answer_silence(question, transcript)

    def _incoming(self, question: Question, event_id: str, transcript: Transcript) -> IncomingMessage:
        return IncomingMessage.ending(
            transcript,
            source=self._platform.source,
            event_id=event_id,
            user_id=question.user_id,
            places=question.places,
            needs_permission=question.needs_permission,
            question_id=question.key,
            is_bot=question.is_bot,
        )

    async def _answer_silence(self, question: Question, transcript: Transcript) -> None:
        """Somebody calls, but there are no words to answer."""
        if transcript.remarks:
            await question.say(" ".join(transcript.remarks))
        elif question.is_called:
            model = await self._bindings.model_in(question.places)
            await question.say(self._faces.greeting(model), model=model)


async def say_why_not(question: Question, error: PersonasError) -> None:
    """Tell the person who wrote a message why it gets no answer, where they are to know."""
    if not is_silent(error):
        await question.say(sentence_of(error))
