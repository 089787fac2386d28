"""Replies to interactions: "thinking…" becomes the answer, and what outlives its token goes on in the channel."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import pytest

from bot.chat import calls
from bot.chat.reply_stream import ScreenGone, ScreenRefused
from bot.discord_chat.calls import attempt
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.interactions import Interaction

HEADER = "**🏴 Captain Codebeard**\n"


async def ask(room: DiscordRoom, question: str, **options: Any) -> Interaction:
    """ann uses /ask, once Discord knows it."""
    await room.fake.wait_for(lambda: room.fake.application.command_writes)
    return await room.ann.uses("ask", room.channel, question=question, **options)


async def test_thinking_becomes_the_answer(room: DiscordRoom):
    interaction = await ask(room, "good morning")
    await interaction.wait_acknowledged()
    await room.channel.wait_for(lambda _: interaction.reply and interaction.reply.content.endswith("good morning"))
    assert [message.content for message in interaction.replies] == [HEADER + "[codebeard@1] good morning"]


async def test_an_answer_that_outlives_its_token_is_finished_in_the_channel(room: DiscordRoom):
    room.gate.close()
    interaction = await ask(room, "one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: interaction.reply and interaction.reply.content.endswith("one"))
    interaction.expire()
    room.gate.open()
    shown = await room.channel.wait_for(
        lambda messages: [one for one in messages if one.content == HEADER + "[codebeard@1] one two three"]
    )
    assert len(shown) == 1
    assert len(room.channel.from_bot) == 1


async def test_a_queue_longer_than_the_tokens_life_is_waited_out(room: DiscordRoom):
    room.gate.close()
    interaction = await ask(room, "one two three")
    await room.gate.wait_until_held()
    await room.channel.wait_for(lambda _: interaction.reply)
    room.fake.pass_time(16 * 60)
    room.gate.open()
    await room.channel.wait_for(lambda messages: messages[-1].content == HEADER + "[codebeard@1] one two three")


async def test_what_only_one_person_sees_goes_on_in_a_direct_message(room: DiscordRoom):
    room.gate.close()
    interaction = await ask(room, "one two three", private=True)
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: interaction.reply and interaction.reply.content.endswith("one"))
    interaction.expire()
    room.gate.open()
    dm = await room.ann.opens_dm()
    await dm.wait_for(lambda messages: messages and messages[-1].content == HEADER + "[codebeard@1] one two three")
    assert room.channel.from_bot == []


class Troubles:
    """A request that fails with one error after the other, and then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Answer:
    """As much of an HTTP response as discord.py's errors look at."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = "reason"


def refusal(kind: type[discord.HTTPException], status: int, code: int) -> discord.HTTPException:
    return kind(Answer(status), {"code": code, "message": "no"})  # type: ignore[arg-type]


async def test_a_network_that_fails_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    troubles = Troubles(aiohttp.ClientConnectionError(), TimeoutError(), refusal(discord.DiscordServerError, 503, 0))
    assert await attempt(troubles) == "done"


async def test_a_network_that_stays_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", (0.0,))
    with pytest.raises(ScreenRefused, match="Discord does not answer"):
        await attempt(Troubles(*[OSError()] * 2))


@pytest.mark.parametrize(
    ("code", "words"), [(50013, "may not do this"), (50007, "no direct messages"), (50001, "cannot see"), (1, "code 1")]
)
async def test_a_refusal_says_what_is_missing(code: int, words: str):
    with pytest.raises(ScreenRefused, match=words):
        await attempt(Troubles(refusal(discord.Forbidden, 403, code)))


@pytest.mark.parametrize("code", [10003, 10008])
async def test_what_was_deleted_is_gone(code: int):
    with pytest.raises(ScreenGone):
        await attempt(Troubles(refusal(discord.NotFound, 404, code)))


async def test_replies_in_one_channel_share_one_edit_budget(room: DiscordRoom):
    room.gate.close()
    people = [room.fake.add_person(f"person{number}") for number in range(3)]
    questions = [await room.asks("one two three", who=person) for person in people]
    await room.channel.wait_for(lambda _: len(room.channel.from_bot) == 3)
    assert len({id(room.chat.parts.chat.replies.budget(question.channel.id)) for question in questions}) == 1
    room.gate.open()
    answers = await asyncio.gather(*(room.answer(question) for question in questions))
    assert {answer.content for answer in answers} == {HEADER + "[codebeard@1] one two three"}
