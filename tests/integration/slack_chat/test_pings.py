"""Nobody is called: not by what a model writes in any of Slack's spellings, and not by what the bot says of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.echo_engine import EchoEngine
from core.generation import GenerationRequest
from core.messages import ChatMessage, ReplyChunk
from tests.slack.rooms import SlackRoom, slack_room

CALLS = (
    "<!channel> <!here> <!everyone> <!group> <!HERE> <!here|here> <!channel|@channel> <!subteam^S012AB|@crew> {ben}"
    " <@{id}|ben> @channel @here @everyone <\\!channel> <\\@{id}> \\<!channel> &lt;!channel> &lt;!channel&gt;"
    " &#60;!here> &#x3c;!here> &lt;@{id}> &LT;!here> &lt;!subteam^S012AB> [all](!channel)"
    " [all](<!channel>) <<!here>> < !here> `<!channel>` **<!here>** ~<!channel>~ > <!here>"
)


class CallingEngine(EchoEngine):
    """Whatever it is asked, it calls everybody whom Slack lets it call."""

    calls = ""

    def submit(self, request: GenerationRequest) -> AsyncIterator[ReplyChunk]:
        said = ChatMessage("user", f"{self.calls} {'word ' * 900} {self.calls}")
        return super().submit(replace(request, messages=(*request.messages[:-1], said)))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[SlackRoom]:
    """A channel with somebody to call. Leaving it looks at every message of the bot."""
    engine = CallingEngine(max_context_tokens=4096)
    async with slack_room(tmp_path, engine=engine, max_new_tokens=3000) as found:
        ben = found.fake.add_person("ben")
        engine.calls = CALLS.format(ben=ben.mention, id=ben.id)
        yield found
        assert len([one for one in found.channel.from_bot if "channel" in one.everything]) >= 2
        assert found.fake.all_pings() == []


async def test_a_streamed_answer_of_two_pages_calls_nobody(room: SlackRoom):
    pages = await room.pages(await room.ended(await room.asks("wake everybody")))
    assert len(pages) > 1 and all("channel" in page.everything for page in pages)
    assert room.fake.calls_of("chat.startStream")


async def test_a_plain_answer_calls_nobody(room: SlackRoom):
    room.fake.faults.refuse("chat.startStream", "channel_type_not_supported", times=100)
    await room.ended(await room.asks("wake everybody"))
    assert room.fake.calls_of("chat.postMessage") and room.fake.calls_of("chat.update")


async def test_an_answer_whose_stream_ended_calls_nobody(room: SlackRoom):
    room.gate.close()
    question = await room.asks("wake everybody")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda _: room.channel.from_bot)
    room.fake.pass_time(300)
    room.gate.open()
    await room.ended(question)
    assert room.fake.calls_of("chat.update")


async def test_another_variant_and_its_buttons_call_nobody(room: SlackRoom):
    question = await room.asks("wake everybody")
    answer = (await room.pages(await room.ended(question)))[-1]
    await room.fake.wait_for(lambda: answer.buttons)
    await room.presses(answer, "🔄")
    await room.ended(question, count=2)


async def test_what_a_person_types_into_a_command_calls_nobody(room: SlackRoom):
    await room.ended(await room.asks("wake everybody"))
    refused = await room.uses("persona", "<!channel> <!here>")
    assert refused.pings == []
    started = await room.asks("wake everybody")
    await room.ended(started)
    said = len(room.channel.everything)
    await room.ann.says(started, "!persona <!channel>")
    await room.fake.wait_for(lambda: len(room.channel.everything) > said + 1)
