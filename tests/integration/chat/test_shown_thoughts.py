"""What a reasoning model thinks stands under its reply where a setting shows it, and is never taken for its words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bot.slack_chat.wording import escaped
from bot.terminal.chat import TerminalChat
from bot.web.metrics import Metrics
from bot.web.pace import Pace
from bot.web.playground_chat import Conversation, PlaygroundChats
from bot.web.playground_view import shown
from core.engine.echo_engine import EchoEngine
from core.generation import EngineCapabilities
from core.settings import Settings
from tests.discord import rooms as discord
from tests.running.serving import LiveServer, echo_server
from tests.slack import rooms as slack

ASKED = "<think>They say `hi`.\nI tell @everyone ahoy.</think>\n\nAhoy!"
REPLY = "[codebeard@1] Ahoy!"
NOTE = "Thoughts: They say 'hi'. I tell @everyone ahoy."
HARMLESS = NOTE.replace("@", "@\u200b")


@pytest.fixture
async def server(tmp_path):
    async with echo_server(tmp_path, show_thoughts=True) as server:
        yield server


def test_thoughts_are_hidden_until_a_setting_shows_them(monkeypatch):
    assert not Settings().show_thoughts
    monkeypatch.setenv("PERSONAS_SHOW_THOUGHTS", "1")
    assert Settings().show_thoughts


@pytest.mark.parametrize("is_shown", [True, False])
async def test_on_discord_thoughts_are_small_print_and_no_part_of_the_conversation(tmp_path, is_shown):
    async with discord.discord_room(tmp_path, message_content=True, show_thoughts=is_shown) as room:
        answer = await room.ask_and_answer(ASKED)
        header = "**🏴 Captain Codebeard**\n"
        assert answer.content == header + REPLY + (f"\n-# {HARMLESS}" if is_shown else "")
        await room.chat.close()
        async with discord.connected(room.fake, room.service) as room.chat:  # it remembers nothing
            heard = discord.listen(room)
            await room.answer(await room.asks("go on", reply_to=answer))
    assert ("assistant", REPLY) in heard[-1]


@pytest.mark.parametrize("is_shown", [True, False])
async def test_on_slack_thoughts_are_small_print_and_no_part_of_the_conversation(tmp_path, is_shown):
    async with slack.slack_room(tmp_path, show_thoughts=is_shown) as room:
        answer = await room.ask_and_answer(escaped(ASKED))
        assert answer.text.endswith(REPLY + (f"\n_{HARMLESS}_" if is_shown else ""))
        await room.chat.close()
        async with slack.connected(room.fake, room.service) as room.chat:
            heard = slack.listen(room)
            await room.answer(await room.asks("go on", in_=answer))
    assert ("assistant", REPLY) in heard[-1]


async def test_in_the_playground_thoughts_stand_below_the_reply_as_they_come(server: LiveServer):
    metrics = Metrics(server.service.store, server.service.queue, server.service.engine)
    chats, conversation = PlaygroundChats(server.service, metrics, Pace(None)), Conversation()
    seen = [turns[-1] async for turns in chats.send("here", conversation, ASKED, "codebeard")]
    assert (seen[-1].text, seen[-1].notes) == (REPLY, (NOTE,))
    assert "<small>Thoughts&#0058;" in shown(conversation.turns)[-1]["content"]["text"]


async def test_in_the_terminal_thoughts_stand_below_the_reply(server: LiveServer):
    out = io.StringIO()
    console = Console(file=out, width=200, color_system=None)
    chat = TerminalChat(server.service, console, console, spec="codebeard", user="ann")
    assert await chat.handle(ASKED.replace("\n", " ") + "\x1b[2J")  # an engine's escape sequence steers no terminal
    assert out.getvalue() == f"{REPLY}[2J\n{NOTE}\n"


async def test_a_reply_of_thoughts_alone_says_that_it_has_no_words(tmp_path):
    engine = EchoEngine(capabilities=EngineCapabilities(begins_in_thought=True))
    async with discord.discord_room(tmp_path, engine=engine, show_thoughts=True) as room:
        question = await room.asks("hmm")
        exchange = await room.ended(question)
        [page] = await room.pages(exchange)
    assert page.content.endswith("(no words)\n-# Thoughts: [codebeard@1] hmm")
    assert not exchange.reply
