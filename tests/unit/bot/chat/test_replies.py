"""The replies of one platform: who waits for what. How they are written is tested on a whole chat."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bot.chat import replies as replies_module
from bot.chat.access import Access, AccessLimits, NotAllowed, TooFast
from bot.chat.memory import Memory
from bot.chat.platform import Capabilities
from bot.chat.replies import RunningReplies

CAPABILITIES = Capabilities("test", "Test", 100, 4, 5.0, "{}", ("message",), False)
HERE = ("test:channel:1",)


def running_replies(**limits: Any) -> RunningReplies:
    access = Access(AccessLimits(**{"per_user_per_minute": None, "per_channel_per_minute": None, **limits}))
    return RunningReplies(cast(Any, None), cast(Any, None), access, Memory(), CAPABILITIES)


def test_an_event_is_admitted_once_and_a_person_over_the_limit_not_at_all():
    replies = running_replies(per_user_per_minute=2)
    assert replies.admit("e1", "test:ann", HERE)
    assert not replies.admit("e1", "test:ann", HERE)
    assert replies.admit("e2", "test:ann", HERE)
    with pytest.raises(TooFast):
        replies.admit("e3", "test:ann", HERE)


async def test_a_drain_waits_for_the_outermost_of_several_works_of_one_task():
    replies, order = running_replies(), []
    is_inside = asyncio.Event()

    async def work() -> None:
        with replies.busy():
            with replies.busy():
                pass
            is_inside.set()
            await asyncio.sleep(0.01)
            order.append("work")

    working = asyncio.create_task(work())
    await is_inside.wait()
    await replies.drain(5.0)
    order.append("drained")
    await working
    assert order == ["work", "drained"]
    with pytest.raises(NotAllowed, match="restarted"):
        replies.admit("e1", "test:ann", HERE)


def test_a_channel_has_one_budget_and_of_too_many_channels_the_oldest_is_forgotten(monkeypatch):
    monkeypatch.setattr(replies_module, "MAX_REMEMBERED", 2)
    replies = running_replies()
    first = replies.budget("1")
    assert replies.budget("1") is first
    replies.budget("2")
    assert replies.budget("1") is first  # used again, so the other one is the oldest
    replies.budget("3")
    assert replies.budget("1") is first
    assert len(replies._budgets) == 2
