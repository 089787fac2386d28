from __future__ import annotations

from bot.chat import free_talk
from bot.chat.free_talk import FreeTalk
from core.store import places


async def test_of_more_places_than_it_remembers_the_oldest_is_looked_up_again(store, monkeypatch):
    monkeypatch.setattr(free_talk, "MAX_REMEMBERED", 2)
    looked_up: list[str] = []
    look_up = places.free_talk_of

    async def noted(session, *place_ids):
        looked_up.extend(place_ids)
        return await look_up(session, *place_ids)

    monkeypatch.setattr(places, "free_talk_of", noted)
    found = FreeTalk(store)
    for place in ("a", "b", "a", "c", "a", "b"):
        assert await found.chosen_in(place) is None
    assert looked_up == ["a", "b", "c", "b"]
