"""How long a waiting job will wait, from how long replies took. Pure arithmetic; knows no queue and no clock."""

from __future__ import annotations

from core.queue.fair_line import Place

NEWEST_WEIGHT = 0.2  # of the newest reply in the exponential average of durations


class WaitEstimate:
    """Learns the mean duration of a reply."""

    def __init__(self) -> None:
        self._mean_reply_s: float | None = None

    def learn(self, duration_s: float) -> None:
        """Take in how long a finished reply ran."""
        if self._mean_reply_s is None:
            self._mean_reply_s = duration_s
        else:
            self._mean_reply_s += NEWEST_WEIGHT * (duration_s - self._mean_reply_s)

    def wait_s(self, place: Place, *, running: int, slots: int) -> float | None:
        """Seconds until a job at this place runs, `slots` at once; None before the first reply has finished.

        Free slots take jobs at once; after that a slot comes free every mean duration / slots. Jobs of one
        conversation run one after another, however many slots there are.
        """
        if self._mean_reply_s is None:
            return None
        free = max(0, slots - running)
        turns = max(0, place.ahead - free + 1) / slots
        return self._mean_reply_s * max(turns, place.ahead_in_conversation)
