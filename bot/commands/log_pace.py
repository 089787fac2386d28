"""Says a warning once a second, however often it comes. Knows no handler and no layout."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

PERIOD_S = 1.0
MAX_CAUSES = 1024


class OncePerSecond(logging.Filter):
    """Lets one warning or error of a cause pass each second; the next one that passes tells how many did not.

    Our own lines are of one cause where they say the same, since each names what it is about. Of `libraries`, and
    where there is a traceback, it is enough that they were written in the same place: strangers choose their words.
    """

    def __init__(self, libraries: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._libraries = frozenset(libraries)
        self._clock = clock
        self._causes: OrderedDict[object, tuple[float, int]] = OrderedDict()  # when it was said, how often not since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        now, cause = self._clock(), self._cause(record)
        said_at, unsaid = self._causes.pop(cause, (-PERIOD_S, 0))
        if now - said_at < PERIOD_S:
            self._causes[cause] = said_at, unsaid + 1
            return False
        self._causes[cause] = now, 0
        if len(self._causes) > MAX_CAUSES:
            self._causes.popitem(last=False)
        if unsaid:
            record.msg, record.args = f"{record.getMessage()} (and {unsaid} more like it)", ()
        return True

    def _cause(self, record: logging.LogRecord) -> object:
        place = (record.name, record.levelno, record.pathname, record.lineno)
        if record.exc_info and record.exc_info[0] is not None:
            return (*place, record.exc_info[0])
        if record.name.partition(".")[0] in self._libraries:
            return place
        return (*place, record.getMessage())
