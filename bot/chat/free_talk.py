"""Where every message is answered, without a mention. Knows no platform."""

from __future__ import annotations

from collections import OrderedDict

from core.store import places
from core.store.db import Store

MAX_REMEMBERED = 4096


class FreeTalk:
    """Remembers what places chose, because every message of every channel asks for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chosen: OrderedDict[tuple[str, ...], bool | None] = OrderedDict()

    async def chosen_in(self, *place_ids: str) -> bool | None:
        """Whether the first of these places to say something about it has free talk; None when none did."""
        chosen = self._chosen
        if place_ids not in chosen:
            async with self._store.read() as session:
                chosen[place_ids] = await places.free_talk_of(session, *place_ids)
        chosen.move_to_end(place_ids)
        if len(chosen) > MAX_REMEMBERED:
            chosen.popitem(last=False)
        return chosen[place_ids]

    def forget(self) -> None:
        """What places chose has changed; look it up again. A look-up under way ends in the former dict."""
        self._chosen = OrderedDict()
