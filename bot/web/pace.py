"""How many messages a minute one person may send through the API or the playground. Pure; the clock is injected."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

from bot.chat.access import WINDOW_S, TooFast
from bot.chat.sliding_window import SlidingWindow


class Pace:
    """`check` every message once. `per_minute` None or 0 is no limit; `clock` gives seconds that never go back."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute or None
        self._asked = SlidingWindow(clock, WINDOW_S)

    def check(self, user_id: str, *, replies: int = 1) -> None:
        """Let a message pass, and count it as so many as the replies it wants; a refused one does not count.

        Raises TooFast.
        """
        if self._per_minute is None:
            return
        retry_s = self._asked.wait_s(user_id, self._per_minute, count=replies)
        if retry_s > 0:
            sentence = (
                f"You have sent {self._per_minute} messages within a minute, which is the most that one person may;"
                f" try again in {max(1, ceil(retry_s))} s."
            )
            raise TooFast(sentence, retry_s)
        for _ in range(replies):
            self._asked.add(user_id)
