from __future__ import annotations

import pytest

from bot.chat.access import Access, AccessLimits, NotAllowed, TooFast
from core.errors import PermissionNeeded
from core.settings import load_settings
from tests.examples.queue import FrozenClock

PLACES = ("discord:thread:3", "discord:channel:2", "discord:guild:1")


@pytest.fixture
def clock():
    return FrozenClock()


def access(clock, **limits):
    return Access(AccessLimits(**limits), clock)


def test_anybody_may_ask_anywhere(clock):
    access(clock).check("ann", PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_within_an_allowed_one_is_allowed(clock, place):
    access(clock, allowed_places=frozenset({place})).check("ann", PLACES)


def test_other_places_are_not_allowed_then(clock):
    with pytest.raises(NotAllowed, match="another channel") as refusal:
        access(clock, allowed_places=frozenset({"discord:channel:9"})).check("ann", PLACES)
    assert not refusal.value.is_silent
    assert isinstance(refusal.value, PermissionNeeded)


def test_a_blocked_place_wins_over_an_allowed_one_around_it(clock):
    limits = {"allowed_places": frozenset({PLACES[2]}), "blocked_places": frozenset({PLACES[0]})}
    with pytest.raises(NotAllowed):
        access(clock, **limits).check("ann", PLACES)
    access(clock, **limits).check("ann", PLACES[1:])


def test_a_blocked_person_gets_no_word(clock):
    with pytest.raises(NotAllowed) as refusal:
        access(clock, blocked_users=frozenset({"eve"})).check("eve", PLACES)
    assert refusal.value.is_silent


def test_who_asks_too_often_hears_how_long_to_wait(clock):
    gate = access(clock, per_user_per_minute=2)
    gate.check("ann", PLACES)
    clock.now += 20.5
    gate.check("ann", PLACES)
    with pytest.raises(TooFast, match=r"You are asking .* try again in 40 s") as refusal:
        gate.check("ann", PLACES)
    assert refusal.value.retry_s == pytest.approx(39.5)
    gate.check("bob", PLACES)


def test_a_minute_later_one_may_ask_again(clock):
    gate = access(clock, per_user_per_minute=1)
    for _ in range(3):
        gate.check("ann", PLACES)
        with pytest.raises(TooFast):
            gate.check("ann", PLACES)  # which does not count
        clock.now += 60.0


def test_who_wants_two_replies_at_once_has_asked_twice(clock):
    gate = access(clock, per_user_per_minute=3)
    gate.check("ann", PLACES, replies=2)
    with pytest.raises(TooFast):
        gate.check("ann", PLACES, replies=2)
    gate.check("ann", PLACES)
    with pytest.raises(TooFast):
        gate.check("ann", PLACES)


def test_the_limit_of_a_channel_holds_for_all_who_are_there(clock):
    gate = access(clock, per_channel_per_minute=2)
    gate.check("ann", PLACES)
    gate.check("bob", PLACES)
    with pytest.raises(TooFast, match="This channel is asking"):
        gate.check("cid", PLACES)
    gate.check("cid", ("discord:thread:4", *PLACES[1:]))


def test_who_goes_on_asking_is_told_once(clock):
    gate = access(clock, per_user_per_minute=1)
    gate.check("ann", PLACES)
    told = []
    for _ in range(3):
        with pytest.raises(TooFast) as refusal:
            gate.check("ann", PLACES)
        told.append(not refusal.value.is_silent)
    assert told == [True, False, False]


def test_without_limits_one_may_ask_as_often_as_one_likes(clock):
    gate = access(clock, per_user_per_minute=None, per_channel_per_minute=None)
    for _ in range(1_000):
        gate.check("ann", PLACES)


def test_a_limit_of_nothing_lets_nobody_ask(clock):
    with pytest.raises(TooFast):
        access(clock, per_user_per_minute=0).check("ann", PLACES)


def test_bots_get_no_word(clock):
    with pytest.raises(NotAllowed) as refusal:
        access(clock).check("robot", PLACES, is_bot=True)
    assert refusal.value.is_silent


def test_an_allowed_bot_is_answered_until_bots_have_talked_among_themselves_for_long_enough(clock):
    gate = access(clock, allowed_bots=frozenset({"robot", "relay"}), max_bot_turns=3)
    for name in ("robot", "relay", "robot"):
        gate.check(name, PLACES, is_bot=True)
    with pytest.raises(NotAllowed) as refusal:
        gate.check("relay", PLACES, is_bot=True)
    assert refusal.value.is_silent
    gate.check("ann", PLACES)
    gate.check("relay", PLACES, is_bot=True)


def test_bots_that_talk_elsewhere_are_counted_there(clock):
    gate = access(clock, allowed_bots=frozenset({"robot"}), max_bot_turns=1)
    gate.check("robot", PLACES, is_bot=True)
    gate.check("robot", ("discord:thread:4", *PLACES[1:]), is_bot=True)
    with pytest.raises(NotAllowed):
        gate.check("robot", PLACES, is_bot=True)


def test_limits_are_what_the_settings_say(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert AccessLimits.of(load_settings()) == AccessLimits()
    for name, value in {
        "USER_MESSAGES_PER_MINUTE": "0",
        "CHANNEL_MESSAGES_PER_MINUTE": "7",
        "ALLOWED_PLACES": "discord:guild:1, discord:channel:2",
        "BLOCKED_PLACES": "discord:thread:3",
        "BLOCKED_USERS": "discord:4",
        "ALLOWED_BOTS": "discord:5,discord:6",
        "MAX_BOT_TURNS": "2",
    }.items():
        monkeypatch.setenv(f"PERSONAS_{name}", value)
    assert AccessLimits.of(load_settings()) == AccessLimits(
        per_user_per_minute=None,
        per_channel_per_minute=7,
        allowed_places=frozenset({"discord:guild:1", "discord:channel:2"}),
        blocked_places=frozenset({"discord:thread:3"}),
        blocked_users=frozenset({"discord:4"}),
        allowed_bots=frozenset({"discord:5", "discord:6"}),
        max_bot_turns=2,
    )


def test_of_places_where_bots_spoke_only_the_latest_are_remembered(clock, monkeypatch):
    monkeypatch.setattr("bot.chat.access.MAX_BOT_PLACES", 2)
    gate = access(clock, allowed_bots=frozenset({"bot"}), max_bot_turns=1, per_user_per_minute=None)
    for place in ("first", "second", "third"):
        gate.check("bot", (place,), is_bot=True)
    assert list(gate._bot_turns) == ["second", "third"]
    with pytest.raises(NotAllowed, match="long enough"):
        gate.check("bot", ("third",), is_bot=True)
