"""Text that is handed to a renderer, or comes back from one, stays the same text."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from bot.discord_chat.contents import STICKERS_UNREAD, VOICE_UNREAD
from bot.discord_chat.history import STRANGER
from core.engine.echo_engine import EchoEngine
from core.generation import EngineCapabilities
from core.store import places
from tests.discord.rooms import DiscordRoom, connected, discord_room, listen
from tests.running.serving import LiveServer, echo_server

THINKING = "<think>They say hi.\nI say ahoy.</think>\n\nAhoy!"
THOUGHTS = "They say hi.\nI say ahoy."


@pytest.fixture
async def live_server(tmp_path):
    async with echo_server(tmp_path) as server:
        yield server


@pytest.fixture
async def base_room(tmp_path):
    """The bot, which answers as the base model: with the very words it is asked."""
    engine = EchoEngine(max_context_tokens=4096)
    async with discord_room(tmp_path, engine=engine, message_content=True, max_new_tokens=2000) as room:
        async with room.service.store.write() as session:
            await places.set_model(session, f"discord:guild:{room.channel.guild.id}", source="discord", model="base")
        yield room


async def choose_identity(room, identity):
    async with room.service.store.write() as session:
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", identity=identity)


@asynccontextmanager
async def after_a_restart(room):
    """The bot, when it remembers nothing but what it has written down."""
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        yield


def asking(text):
    return {"model": "base", "messages": [{"role": "user", "content": text}]}


async def test_thoughts_stand_beside_the_reply_and_not_in_it(live_server: LiveServer):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking(THINKING))
    message = reply.choices[0].message
    assert (message.content, message.model_extra["reasoning_content"]) == ("Ahoy!", THOUGHTS)
    assert (await live_server.exchange(reply.id)).reply == "Ahoy!"


async def test_thoughts_are_streamed_beside_the_reply(live_server: LiveServer):
    async with live_server.client() as client:
        stream = await client.chat.completions.create(**asking(THINKING), stream=True)
        deltas = [chunk.choices[0].delta async for chunk in stream]
    assert "".join(delta.content or "" for delta in deltas) == "Ahoy!"
    assert "".join((delta.model_extra or {}).get("reasoning_content", "") for delta in deltas) == THOUGHTS


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_reply_without_thoughts_says_nothing_of_them(live_server: LiveServer, is_streamed):
    async with live_server.http() as http:
        answer = await http.post("/v1/chat/completions", json=asking("ahoy") | {"stream": is_streamed})
    assert "reasoning_content" not in answer.text


async def test_a_reply_that_is_cut_off_while_the_model_thinks_has_no_words(live_server: LiveServer):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking("<think>one two three four"), max_tokens=2)
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("", "length")


async def test_thoughts_that_the_chat_template_opens_are_hidden(tmp_path):
    engine = EchoEngine(capabilities=EngineCapabilities(begins_in_thought=True))
    async with echo_server(tmp_path, engine=engine) as server, server.client() as client:
        reply = await client.chat.completions.create(**asking("They say hi.</think> Ahoy!"))
    assert reply.choices[0].message.content == "Ahoy!"


async def test_a_reply_that_speaks_of_the_tag_keeps_it(live_server: LiveServer):
    words = "The tag `<think>` opens what a model thinks, and `</think>` ends it."
    async with live_server.client() as client:
        reply = await client.chat.completions.create(**asking(words))
    assert reply.choices[0].message.content == words


BOLD = "**Ahoy, matey!**\nThis is my tale.\n-# the end\n(stopped)"


@pytest.mark.parametrize("identity", ["message", "webhook", "profile"])
async def test_a_reply_that_looks_like_our_own_marks_is_read_back_whole(base_room: DiscordRoom, identity):
    room = base_room
    await choose_identity(room, identity)
    answer = await room.ask_and_answer(BOLD)
    async with after_a_restart(room):
        heard = listen(room)
        await room.answer(await room.asks("go on", reply_to=answer))
    assert heard[-1] == [("user", BOLD), ("assistant", BOLD), ("user", "go on")]


@pytest.mark.parametrize("identity", ["webhook", "profile"])
async def test_another_answer_adds_no_header_where_the_reply_only_looks_like_one(base_room: DiscordRoom, identity):
    room = base_room
    await choose_identity(room, identity)
    answer = await room.ask_and_answer(BOLD)
    async with after_a_restart(room):
        await room.ann.presses(answer, "🔄")
        await room.fake.wait_for(lambda: any(button.get("label") == "2/2" for button in answer.buttons))
    assert answer.content == BOLD


async def test_every_page_of_a_reply_is_read_back_as_it_was_written(base_room: DiscordRoom):
    room = base_room
    code = "\n".join(f"print({number})  # what a line" for number in range(52))
    calls = " @everyone" * 60  # each is longer where it is shown
    reply = f"**One**\n```py\n{code}\n```\n**Two**{calls} (no words)"
    question = await room.asks(reply)
    pages = await room.pages(await room.ended(question))
    assert len(pages) > 1
    async with after_a_restart(room):
        heard = listen(room)
        await room.answer(await room.asks("go on", reply_to=pages[-1]))
    assert heard[-1][1] == ("assistant", reply)


async def test_a_forwarded_message_is_read_and_stays_its_authors(base_room: DiscordRoom):
    room, heard = base_room, listen(base_room)
    ben = room.fake.add_person("ben")
    original = await ben.says(room.channel, "the tide turns at six")
    dm = await room.ann.opens_dm()
    forward = await room.ann.forwards(original, dm)
    exchange = await room.ended(forward)
    assert heard[-1] == [("user", "the tide turns at six")]
    assert exchange.reply is None  # ben agreed to nothing
    transcript = room.chat.parts.chat.memory.find(exchange.id).transcript
    assert {quote.user_id for quote in transcript.quotes} == {f"discord:{ben.id}", f"discord:{room.ann.id}"}
    await ben.deletes(original)
    await room.fake.wait_for(lambda: room.chat.parts.chat.memory.find(exchange.id) is None)


async def test_a_forwarded_message_whose_author_is_unknown_is_nobodys_to_keep(base_room: DiscordRoom):
    room, heard = base_room, listen(base_room)
    ben = room.fake.add_person("ben")
    original = await ben.says(room.fake.add_guild("elsewhere", with_bot=False).add_channel("secret"), "six bells")
    exchange = await room.ended(await room.ann.forwards(original, await room.ann.opens_dm()))
    assert heard[-1] == [("user", "Forwarded message:\nsix bells")]
    assert STRANGER in {quote.user_id for quote in room.chat.parts.chat.memory.find(exchange.id).transcript.quotes}


async def test_a_card_and_a_poll_are_read(base_room: DiscordRoom):
    room, heard = base_room, listen(base_room)
    dm = await room.ann.opens_dm()
    card = {
        "type": "rich",
        "title": "Weather",
        "description": "Fog",
        "fields": [{"name": "Wind", "value": "none", "inline": False}],
    }
    await room.ended(await room.ann.says(dm, "", embeds=[card]))
    assert heard[-1] == [("user", "Weather\nFog\nWind\nnone")]
    await room.ended(await room.ann.asks_all(dm, "Rum?", "Aye", "Nay"))
    assert heard[-1][-1] == ("user", "Poll: Rum?\n- Aye\n- Nay")


async def test_what_cannot_be_read_is_named(base_room: DiscordRoom):
    room = base_room
    dm = await room.ann.opens_dm()
    sticker = await room.ann.sends_a_sticker(dm, "wave")
    await dm.wait_for(lambda messages: messages[-1].reply_to is sticker and messages[-1].content == STICKERS_UNREAD)
    voice = await room.ann.speaks(dm, b"OggS")
    await dm.wait_for(lambda messages: messages[-1].reply_to is voice and messages[-1].content == VOICE_UNREAD)
    told = await room.answer(await room.ann.says(dm, "what do I say there", reply_to=voice))
    assert told.content.endswith(f"\n-# {VOICE_UNREAD}")


async def test_who_forwards_an_answer_asks_nothing(base_room: DiscordRoom):
    room = base_room
    answer = await room.ask_and_answer("ahoy")
    await room.ann.forwards(answer, room.channel)
    await room.ask_and_answer("and this")
    assert len(await room.exchanges()) == 2
