"""Mentions, threads, direct messages and streams."""

from __future__ import annotations

from tests.slack.rooms import SlackRoom


async def test_a_mention_is_answered_in_a_thread_by_the_channels_persona(room: SlackRoom):
    question = await room.asks("hello")
    answer = await room.answer(question)
    assert answer.content.endswith("[codebeard@1] hello")
    assert answer.thread_ts == question.ts
    assert answer.name == "Captain Codebeard"
    assert len(await room.exchanges()) == 1
