"""Which words the fake Slack takes, and whom they would call."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.small_app import FEEDBACK, refusal


async def test_a_stream_is_written_under_another_name(client: AsyncWebClient, channel: Channel, ann: Person):
    question = await ann.says(channel, "ahoy")
    to = {"recipient_team_id": ann.team_id, "recipient_user_id": ann.id}
    stream = await client.chat_stream(
        channel=channel.id, thread_ts=question.ts, username="Codebeard", icon_emoji=":pirate_flag:", buffer_size=1, **to
    )
    await stream.append(markdown_text="**hello ")
    answer = channel.messages[-1]
    assert answer.is_streaming
    assert answer.name == "Codebeard"
    await stream.append(markdown_text="there**")
    await stream.stop(blocks=[FEEDBACK])
    assert answer.content == "**hello there**"
    assert answer.versions == ["**hello ", "**hello there**"]
    assert answer.buttons == ["Good", "Bad", "trash"]
    assert not answer.is_streaming


async def test_a_stream_in_a_channel_needs_a_recipient(client: AsyncWebClient, channel: Channel, ann: Person):
    question = await ann.says(channel, "ahoy")
    call = client.chat_startStream(channel=channel.id, thread_ts=question.ts, markdown_text="x")
    assert await refusal(call) == "missing_recipient_team_id"


async def test_a_stream_ends_after_five_minutes(fake: FakeSlack, client: AsyncWebClient, channel: Channel, ann: Person):
    dm = await ann.opens_dm()
    question = await ann.says(dm, "ahoy")
    started = await client.chat_startStream(channel=dm.id, thread_ts=question.ts, markdown_text="x")
    early = client.chat_update(channel=dm.id, ts=started["ts"], text="y")
    assert await refusal(early) == "streaming_state_conflict"
    fake.pass_time(300)
    late = client.chat_appendStream(channel=dm.id, ts=started["ts"], markdown_text="y")
    assert await refusal(late) == "message_not_in_streaming_state"
    await client.chat_update(channel=dm.id, ts=started["ts"], text="y")
    assert dm.messages[-1].content == "y"
    assert await refusal(client.chat_stopStream(channel=dm.id, ts=started["ts"])) == "message_not_in_streaming_state"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"markdown_text": "x", "text": "y"}, "markdown_text_conflict"),
        ({"text": ""}, "no_text"),
        ({"text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "x" * 6_001}] * 2}, "msg_blocks_too_long"),
        (
            {"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}]},
            "invalid_blocks",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text`")
async def test_what_is_too_long_or_no_message_is_refused(
    client: AsyncWebClient, channel: Channel, given: dict[str, Any], error: str
):
    assert await refusal(client.chat_postMessage(channel=channel.id, **given)) == error


async def test_an_update_takes_fewer_words_and_the_name_goes(client: AsyncWebClient, channel: Channel):
    posted = await client.chat_postMessage(channel=channel.id, text="x", username="Codebeard")
    assert await refusal(client.chat_update(channel=channel.id, ts=posted["ts"], text="y" * 4_001)) == "msg_too_long"
    await client.chat_update(channel=channel.id, ts=posted["ts"], text="y")
    assert channel.messages[-1].name == "small"


async def test_a_message_under_another_name_stays(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    posted = await client.chat_postMessage(channel=channel.id, text="x", username="Codebeard")
    assert await refusal(client.chat_delete(channel=channel.id, ts=posted["ts"])) == "cant_delete_message"
    fake.deletes_customized = True
    await client.chat_delete(channel=channel.id, ts=posted["ts"])
    assert not channel.messages


async def test_nobody_deletes_what_is_not_theirs(client: AsyncWebClient, channel: Channel, ann: Person):
    message = await ann.says(channel, "mine")
    assert await refusal(client.chat_delete(channel=channel.id, ts=message.ts)) == "cant_delete_message"
    assert await refusal(client.chat_update(channel=channel.id, ts=message.ts, text="x")) == "cant_update_message"


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        ({"text": "<!channel> and <!here|here> and <!everyone>"}, 3),
        ({"text": "<@U012345> and <!subteam^S012|crew>"}, 2),
        ({"text": "&lt;!channel&gt; @channel <#C012> <!date^1^x|y>"}, 0),
        ({"text": "@channel", "link_names": True}, 1),
        ({"text": "@here", "parse": "full"}, 1),
        ({"markdown_text": "<!channel> &lt;!here&gt; \\<@U012345\\>"}, 3),
        ({"markdown_text": "<\u2060!channel>"}, 0),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "<!here>"}]}, 1),
        ({"text": "x", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "<!here>"}}]}, 0),
        (
            {
                "text": "x",
                "blocks": [
                    {
                        "type": "rich_text",
                        "elements": [
                            {"type": "rich_text_section", "elements": [{"type": "broadcast", "range": "here"}]}
                        ],
                    }
                ],
            },
            1,
        ),
    ],
)
async def test_whoever_could_have_been_called_is_reported(
    fake: FakeSlack, client: AsyncWebClient, channel: Channel, given: dict[str, Any], calls: int
):
    await client.chat_postMessage(channel=channel.id, unfurl_links=False, unfurl_media=False, **given)
    assert len(channel.messages[-1].pings) == calls
    assert bool(fake.all_pings()) == bool(calls)


async def test_a_call_in_pieces_of_a_stream_is_reported(fake: FakeSlack, client: AsyncWebClient, ann: Person):
    dm = await ann.opens_dm()
    question = await ann.says(dm, "hi")
    started = await client.chat_startStream(channel=dm.id, thread_ts=question.ts, markdown_text="<!chan")
    assert not fake.all_pings()
    await client.chat_appendStream(channel=dm.id, ts=started["ts"], markdown_text="nel>")
    with pytest.raises(AssertionError, match="channel"):
        fake.check_pings()


async def test_a_link_that_may_unfurl_is_reported(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    text = "see https://a.example/page"
    await client.chat_postMessage(channel=channel.id, text=text, unfurl_links=False, unfurl_media=False)
    fake.check_pings()
    await client.chat_postMessage(channel=channel.id, text=text)
    assert channel.messages[-1].unfurls == ["https://a.example/page"]
    with pytest.raises(AssertionError, match="unfurls"):
        fake.check_pings()


async def test_a_status_goes_when_the_bot_speaks(client: AsyncWebClient, channel: Channel, ann: Person):
    question = await ann.says(channel, "ahoy")
    await client.assistant_threads_setStatus(
        channel_id=channel.id, thread_ts=question.ts, status="is thinking", loading_messages=["swabbing the deck"]
    )
    assert channel.status_of(question) == "is thinking"
    await client.chat_postMessage(channel=channel.id, thread_ts=question.ts, text="hello")
    assert channel.status_of(question) == ""


async def test_wrong_arguments_break_the_contract(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    if fake.contract is None:
        pytest.skip("Slack's descriptions are missing: set SLACK_CONTRACTS or put them into ../shared/contracts")
    await client.api_call("chat.postMessage", json={"channel": channel.id, "text": "x", "colour": "red"})
    with pytest.raises(AssertionError, match="colour"):
        fake.check_contract()
    fake.contract.violations.clear()
    assert fake.contract.checked
