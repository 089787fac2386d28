"""A follow-up finds its conversation once, and nobody else's."""

from __future__ import annotations

from bot.web import follow_ups
from bot.web.follow_ups import FollowUps
from core.messages import ChatMessage

ASKED = (ChatMessage("user", "hello"),)
NEXT = (*ASKED, ChatMessage("assistant", "hi"), ChatMessage("user", "why?"))


def test_equal_first_questions_are_different_conversations():
    memory = FollowUps()
    assert memory.claim("ann", "zen", ASKED) != memory.claim("ann", "zen", ASKED)


def test_the_next_turn_goes_on_where_the_reply_ended():
    memory = FollowUps()
    first = memory.claim("ann", "zen", ASKED)
    memory.remember(first, "ann", "zen", ASKED, "hi")
    assert memory.claim("ann", "zen", NEXT) == first
    assert memory.claim("ann", "zen", NEXT) != first


def test_another_user_model_or_reply_is_another_conversation():
    for user, model, reply in (("bob", "zen", "hi"), ("ann", "base", "hi"), ("ann", "zen", "ho")):
        memory = FollowUps()
        memory.remember("one", user, model, ASKED, reply)
        assert memory.claim("ann", "zen", NEXT) != "one"


def test_only_the_latest_conversations_are_remembered(monkeypatch):
    monkeypatch.setattr(follow_ups, "MAX_REMEMBERED", 2)
    memory = FollowUps()
    for name in ("one", "two", "three"):
        memory.remember(name, name, "zen", ASKED, "hi")
    assert memory.claim("one", "zen", NEXT) != "one"
    assert memory.claim("three", "zen", NEXT) == "three"
