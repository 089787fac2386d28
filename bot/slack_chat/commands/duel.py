"""/duel: two versions of a persona answer the same question, and everybody who sees it may vote."""

from __future__ import annotations

import re

from bot.chat.conversation import Transcript, Turn
from bot.chat.duels import TURNS, Duels
from bot.chat.platform import IncomingMessage
from bot.chat.replies import RunningReplies
from bot.chat.reply_pages import FIRST_SIGN
from bot.chat.shown_duels import ShownDuels
from bot.slack_chat.asked import Asked
from bot.slack_chat.connection import Connection
from bot.slack_chat.identity import Identities
from bot.slack_chat.names import SOURCE, needs_permission
from bot.slack_chat.screens import SlackScreen
from core.errors import InvalidInput
from core.messages import Quoted

WORDS = re.compile(r"(\S.*?)\s+@?(\d{1,9})\s+@?(\d{1,9})\s+(\S.*)", re.DOTALL)
HOW = "Name a persona, two of its versions and a question, as in `duel codebeard 2 3 What is a mutex?`."


class DuelCommand:
    """`/duel codebeard 2 3 What is a mutex?`

    Raises InvalidInput, NotFound, NotAllowed, TooFast, StoreUnavailable, ScreenGone and ScreenRefused.
    """

    def __init__(
        self,
        connection: Connection,
        replies: RunningReplies,
        duels: Duels,
        shown: ShownDuels,
        identities: Identities,
    ) -> None:
        self._connection = connection
        self._replies = replies
        self._duels = duels
        self._shown = shown
        self._identities = identities

    async def run(self, asked: Asked) -> None:
        found = WORDS.fullmatch(asked.words.strip())
        if found is None:
            raise InvalidInput(HOW)
        contest = await self._duels.contest(found[1].strip("`"), int(found[2]), int(found[3]))
        turns = TURNS - 1 if asked.is_counted else TURNS
        if not self._replies.admit(f"duel:{asked.key}", asked.user_id, asked.places, replies=turns):
            return
        look = self._identities.look(contest.persona)
        screen = SlackScreen(self._connection, asked.channel, asked.thread_ts, look)
        question = IncomingMessage.ending(
            Transcript(
                f"{SOURCE}:interaction:{asked.key}",
                (Turn("user", "", found[4], asked.user_id),),
                (Quoted(asked.key, asked.user_id),),
            ),
            source=SOURCE,
            event_id=f"duel:{asked.key}",
            user_id=asked.user_id,
            places=asked.places,
            needs_permission=needs_permission(asked.places),
        )
        await screen.show_waiting(FIRST_SIGN)
        await self._shown.show(contest, question, screen, asked.tell)
