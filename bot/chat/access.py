"""Who may ask, where and how often. Pure: no chat platform, no store, the clock is injected."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

from bot.chat.sliding_window import SlidingWindow
from core.errors import PermissionNeeded, PersonasError
from core.settings import Settings, listed

WINDOW_S = 60.0
MAX_BOT_PLACES = 4096  # where bots spoke last; every thread is a place of its own


class NotAllowed(PermissionNeeded):
    """Never here, or never for this person. `is_silent`: a message is better left unanswered than told so."""

    def __init__(self, sentence: str, *, is_silent: bool = False) -> None:
        super().__init__(sentence)
        self.is_silent = is_silent


class TooFast(PersonasError):
    """Not now, but in `retry_s` seconds. `is_silent`: who asks has been told so within the last minute."""

    http_status = 429

    def __init__(self, sentence: str, retry_s: float, *, is_silent: bool = False) -> None:
        super().__init__(sentence)
        self.retry_s = retry_s
        self.is_silent = is_silent


@dataclass(frozen=True, slots=True)
class AccessLimits:
    """Limits are messages a minute, None is no limit. Without `allowed_places` every place is allowed.

    Ids are those of IncomingMessage: "discord:user", "discord:channel:17". Bots are ignored but for `allowed_bots`, of
    whom `max_bot_turns` messages in a row are answered in a place until a person speaks there.
    """

    per_user_per_minute: int | None = 10
    per_channel_per_minute: int | None = 30
    allowed_places: frozenset[str] = frozenset()
    blocked_places: frozenset[str] = frozenset()
    blocked_users: frozenset[str] = frozenset()
    allowed_bots: frozenset[str] = frozenset()
    max_bot_turns: int = 3

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the operator has set; 0 messages a minute mean any number of them."""
        return cls(
            per_user_per_minute=settings.user_messages_per_minute or None,
            per_channel_per_minute=settings.channel_messages_per_minute or None,
            allowed_places=listed(settings.allowed_places),
            blocked_places=listed(settings.blocked_places),
            blocked_users=listed(settings.blocked_users),
            allowed_bots=listed(settings.allowed_bots),
            max_bot_turns=settings.max_bot_turns,
        )


class Access:
    """`check` every message that wants a reply, once. `clock` gives seconds that never go back."""

    def __init__(self, limits: AccessLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._asked = SlidingWindow(clock, WINDOW_S)
        self._told = SlidingWindow(clock, WINDOW_S)
        self._bot_turns: dict[str, int] = {}

    def check(self, user_id: str, place_ids: Sequence[str], *, is_bot: bool = False, replies: int = 1) -> None:
        """Let a message pass, and count it as so many as the replies it wants; one that is refused does not count.

        `place_ids` are where it was written, the narrowest first: thread, channel, server. Raises NotAllowed, TooFast.
        """
        try:
            self._look(user_id, place_ids, is_bot=is_bot, replies=replies)
        except TooFast as error:
            if not error.is_silent:
                self._told.add(user_id)
            raise
        place = place_ids[0]
        if is_bot:
            self._count_bot_turn(place)
        for _ in range(replies):
            self._asked.add(user_id)
            self._asked.add(place)

    def _look(self, user_id: str, place_ids: Sequence[str], *, is_bot: bool, replies: int) -> None:
        self._check_place(place_ids)
        if user_id in self._limits.blocked_users:
            raise NotAllowed("You are blocked from talking to me here; ask who runs this bot.", is_silent=True)
        self._guard_against_loops(user_id, place_ids[0], is_bot=is_bot)
        self._check_pace(user_id, place_ids[0], replies)

    def _check_place(self, place_ids: Sequence[str]) -> None:
        places, allowed = set(place_ids), self._limits.allowed_places
        if places & self._limits.blocked_places or (allowed and not places & allowed):
            raise NotAllowed("I may not talk here; ask me in another channel, or ask who runs this bot.")

    def _guard_against_loops(self, user_id: str, place: str, *, is_bot: bool) -> None:
        if not is_bot:
            self._bot_turns.pop(place, None)
        elif user_id not in self._limits.allowed_bots:
            raise NotAllowed("I do not answer bots.", is_silent=True)
        elif self._bot_turns.get(place, 0) >= self._limits.max_bot_turns:
            raise NotAllowed("Bots have talked among themselves for long enough here.", is_silent=True)

    def _count_bot_turn(self, place: str) -> None:
        self._bot_turns[place] = self._bot_turns.pop(place, 0) + 1  # the places of late come last
        if len(self._bot_turns) > MAX_BOT_PLACES:
            del self._bot_turns[next(iter(self._bot_turns))]

    def _check_pace(self, user_id: str, place: str, replies: int) -> None:
        user_s = self._asked.wait_s(user_id, self._limits.per_user_per_minute, count=replies)
        place_s = self._asked.wait_s(place, self._limits.per_channel_per_minute, count=replies)
        retry_s = max(user_s, place_s)
        if retry_s <= 0:
            return
        who = "You are" if user_s >= place_s else "This channel is"
        is_silent = self._told.wait_s(user_id, 1) > 0
        sentence = f"{who} asking faster than I can answer; try again in {max(1, ceil(retry_s))} s, please."
        raise TooFast(sentence, retry_s, is_silent=is_silent)
