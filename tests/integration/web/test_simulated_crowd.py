"""The crowd of `benchmarks.simulated_crowd` asks and judges a real server over HTTP; learning is shown elsewhere."""

from __future__ import annotations

import httpx

from benchmarks.simulated_crowd import Crowd, vote
from tests.running.patience import TIMEOUT_S
from tests.running.serving import LiveServer


async def test_each_of_the_crowd_likes_what_suits_its_taste_and_trolls_do_the_contrary(live_server: LiveServer):
    async with httpx.AsyncClient(base_url=live_server.url, timeout=TIMEOUT_S) as client:
        crowd = Crowd(client, "zen", "sea, wind")
        said = await crowd.ask_all(["the Sea is blue", "seaside", "no wind today"], ["ann", "ben"])
        await vote(crowd, said, ["ann", "ben"])
        await vote(crowd, said[:2], ["troll"], is_contrary=True)
    thumbs = {(thumb.user_id, thumb.exchange_id): thumb.label for thumb in await live_server.thumbs()}
    first, second, third = (one.completion_id for one in said)
    assert thumbs == {
        ("api:ann", first): True,
        ("api:ben", second): False,
        ("api:ann", third): True,
        ("api:troll", first): False,
        ("api:troll", second): True,
    }
