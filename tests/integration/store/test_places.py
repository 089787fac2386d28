"""What servers, channels and threads chose: the narrowest that says something decides."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from core.messages import ChatMessage
from core.store import places
from core.store.places import PlaceSettings
from tests.examples.store import record_answered

SPOTS = ("thread", "channel", "server")
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "identity": st.sampled_from(["message", "webhook", "profile", None]),
        "is_free_talk": st.sampled_from([True, False, None]),
        "is_text_kept": st.sampled_from([True, False, None]),
    },
)


async def test_a_place_answers_as_it_was_last_told_and_as_a_wider_one_once_it_takes_that_back(store):
    async with store.write() as session:
        assert await places.model_of(session, "thread", "channel") is None
        await places.set_model(session, "channel", source="discord", model="base")
        await places.set_model(session, "thread", source="discord", model="zen")
        await places.set_model(session, "thread", source="discord", model="codebeard:0.7+zen:0.3")
    async with store.write() as session:
        assert await places.model_of(session, "thread", "channel") == "codebeard:0.7+zen:0.3"
        assert await places.model_of(session, "channel", "thread") == "base"
        await places.set_model(session, "thread", source="discord", model=None)
        assert await places.model_of(session, "thread", "channel") == "base"
        assert await places.model_of(session) is None


async def test_where_nobody_chose_anything_the_bot_is_a_plain_one_that_keeps_nothing(store):
    async with store.write() as session:
        await places.set_model(session, "channel", source="discord", model="zen")
        assert await places.settings_of(session, "thread", "channel") == PlaceSettings(model="zen")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(SPOTS), CHOICES), max_size=8))
async def test_each_setting_is_the_latest_of_the_narrowest_place_that_has_one(store, changes):
    expected: dict[str, dict[str, object]] = {spot: {} for spot in SPOTS}
    async with store.write() as session:
        await session.execute(text("DELETE FROM places"))
        for spot, chosen in changes:
            await places.change(session, spot, source="discord", **chosen)
            expected[spot] |= chosen
        found = await places.settings_of(session, *SPOTS)
        free_talk = await places.free_talk_of(session, *SPOTS)
        wider = await places.settings_of(session, *SPOTS[1:])
        assert await places.settings_of_each(session, SPOTS, SPOTS[1:], ()) == [found, wider, PlaceSettings()]
    for name in ("identity", "is_free_talk", "is_text_kept"):
        said = [expected[spot][name] for spot in SPOTS if expected[spot].get(name) is not None]
        assert getattr(found, name) == (said[0] if said else getattr(PlaceSettings(), name))
        assert name != "is_free_talk" or free_talk == (said[0] if said else None)


async def test_a_change_of_one_setting_leaves_the_others_and_the_model(store):
    async with store.write() as session:
        await places.set_model(session, "channel", source="discord", model="zen")
        await places.change(session, "channel", source="discord", identity="webhook", is_text_kept=True)
        await places.change(session, "channel", source="discord", is_text_kept=False)
        assert await places.settings_of(session, "channel") == PlaceSettings("webhook", model="zen")


async def test_an_identity_is_the_platforms_own_word(store):
    async with store.write() as session:
        await places.change(session, "channel", source="matrix", identity="ghost")
    async with store.read() as session:
        assert (await places.settings_of(session, "channel")).identity == "ghost"
        assert await places.with_identity(session, "ghost") == {"channel"}


async def test_places_where_something_is_kept_are_named_with_the_place_around_them(store):
    async with store.write() as session:
        for channel, prompt in (("c:talk", (ChatMessage("user", "Hi"),)), ("c:quiet", None), ("c:settled", None)):
            await record_answered(session, places=(channel, "g:1"), prompt=prompt)
        await record_answered(session, places=("c:dm",))
        await places.change(session, "c:settled", source="discord", is_free_talk=True)
        found = await places.with_something_kept_inside(session, "c:", around="g:")
        assert sorted(found) == [("c:settled", "g:1"), ("c:talk", "g:1")]
