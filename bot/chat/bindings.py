"""Which persona answers where: a thread's choice goes before its channel's, a channel's before its server's."""

from __future__ import annotations

from collections.abc import Sequence

from core.store import places
from core.store.db import Store


class Bindings:
    """What the places of one platform, `source`, chose. Everything here raises StoreUnavailable."""

    def __init__(self, store: Store, source: str, default: str) -> None:
        self._store = store
        self._source = source
        self.default = default

    async def model_in(self, place_ids: Sequence[str]) -> str:
        """The blend spec of the narrowest place that chose one, or the default persona."""
        async with self._store.read() as session:
            return await places.model_of(session, *place_ids) or self.default

    async def chosen_in(self, place_ids: Sequence[str]) -> list[str | None]:
        """What each of these places chose itself."""
        async with self._store.read() as session:
            return [one.model for one in await places.settings_of_each(session, *((place,) for place in place_ids))]

    async def bind(self, place_id: str, model: str | None, *, here: Sequence[str]) -> str:
        """Let `model`, a blend spec, answer in a place; None leaves it to a wider one. Returns who answers `here`."""
        async with self._store.write() as session:
            await places.set_model(session, place_id, source=self._source, model=model)
            return await places.model_of(session, *here) or self.default
