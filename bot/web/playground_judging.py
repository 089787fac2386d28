"""What a browser session says of its replies: thumbs, better answers, and which of several answers it prefers.

Knows the service and no Gradio components.
"""

from __future__ import annotations

from bot.chat.answers import buttons_under, neighbour
from bot.chat.buttons import ReplyButtons
from bot.chat.judging import Judgement, Judging
from bot.chat.personas import describe
from bot.web.playground_chat import SOURCE, Chat, Conversation, Turn
from bot.web.service_view import Service
from core.errors import InvalidInput, NotFound
from core.store import feedback

NO_REPLY = "There is no reply to judge; ask something first."
NOT_KEPT = "The words of that answer are not kept any more; 🔄 writes another one."


class PlaygroundJudging:
    """Raises PersonasError, each with a sentence for the page."""

    def __init__(self, service: Service) -> None:
        self._store = service.store
        self._personas = service.personas
        self._judging = Judging(service.store, SOURCE, takes_consent=False)

    async def judge(self, session_id: str, conversation: Conversation, index: int, label: bool | None) -> None:
        """Record a thumb for the chat's message at `index`; None takes it back. After 👎 a better one may follow."""
        chat = conversation.turns
        if not 0 <= index < len(chat) or not chat[index].exchange_id:
            raise InvalidInput("Only a reply can be judged; use the thumbs below one.")
        exchange_id = chat[index].exchange_id
        if label is None:
            await self._judging.take_thumb_back(exchange_id, session_id)
        else:
            await self._judging.judge(exchange_id, session_id, label=label)
        conversation.disliked = exchange_id if label is False else ""

    async def write_better(self, session_id: str, conversation: Conversation, text: str) -> None:
        """Keep what the reply that was disliked last should have said."""
        if not conversation.disliked:
            raise InvalidInput("Press 👎 below the reply first, then write what it should have said.")
        await self._judging.record(conversation.disliked, session_id, Judgement(better_answer=text))
        conversation.disliked = ""

    async def pick(self, session_id: str, conversation: Conversation) -> int:
        """Prefer the answer that is shown. Returns how many there were to choose from."""
        return await self._judging.pick(_shown(conversation), session_id)

    async def turn(self, conversation: Conversation, step: int) -> Chat:
        """Show the answer that stands so many steps from the shown one; the conversation goes on from it."""
        async with conversation.order:
            target = await neighbour(self._store, _shown(conversation), step)
            if target is not None:
                if target.reply is None:
                    raise NotFound(NOT_KEPT)
                answer = Turn("assistant", target.reply, describe(self._personas, target.model), target.id)
                conversation.turns = (*conversation.turns[:-1], answer)
                conversation.disliked = ""
            return conversation.turns

    async def buttons(self, conversation: Conversation) -> ReplyButtons | None:
        """What can be done with the reply at hand; None where there is none."""
        if not conversation.turns or not conversation.turns[-1].exchange_id:
            return None
        return await buttons_under(self._store, conversation.turns[-1].exchange_id)

    async def thumbs(self, session_id: str, conversation: Conversation) -> list[bool | None]:
        """The session's thumb for each reply of the chat."""
        shown = [turn.exchange_id for turn in conversation.turns if turn.role == "assistant"]
        async with self._store.read() as session:
            given = await feedback.of_exchanges(session, *shown)
        labels = {thumb.exchange_id: thumb.label for thumb in given if thumb.user_id == session_id}
        return [labels.get(exchange_id) for exchange_id in shown]


def _shown(conversation: Conversation) -> str:
    """The exchange of the reply at hand. Raises InvalidInput where there is none."""
    if not conversation.turns or not conversation.turns[-1].exchange_id:
        raise InvalidInput(NO_REPLY)
    return conversation.turns[-1].exchange_id
