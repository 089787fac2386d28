"""The fake Slack, held against stock slack-sdk and slack-bolt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.rate_limits import Limit
from tests.fakes.fake_slack.server import FakeSlack

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "thumbs",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
        },
        {
            "type": "icon_button",
            "icon": "trash",
            "action_id": "remove",
            "text": {"type": "plain_text", "text": "Remove"},
        },
    ],
}
MODAL = {
    "type": "modal",
    "callback_id": "better",
    "title": {"type": "plain_text", "text": "A better answer"},
    "submit": {"type": "plain_text", "text": "Keep"},
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": {"type": "plain_text", "text": "Answer"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True, "initial_value": "old"},
        }
    ],
}


class SmallApp:
    """A stock bolt app that writes down what it hears."""

    def __init__(self, fake: FakeSlack) -> None:
        self.client = AsyncWebClient(fake.bot_token, base_url=fake.url)
        self.app = AsyncApp(client=self.client)
        self.handler = AsyncSocketModeHandler(self.app, fake.app_token, web_client=self.client)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.retries: list[list[str] | None] = []
        self.world = fake.world
        for name in (
            "app_mention",
            "message",
            "reaction_added",
            "reaction_removed",
            "app_home_opened",
            "app_uninstalled",
            "member_joined_channel",
        ):
            self.app.event(name)(self.on_event)
        self.app.event("tokens_revoked")(self.on_event)

    async def on_event(self, event: dict[str, Any], request: Any) -> None:
        self.heard.append((event["type"], event))
        self.retries.append(request.headers.get("x-slack-retry-num"))
        self.world.touch()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for name, event in self.heard if name == kind]


@pytest.fixture
async def fake() -> AsyncIterator[FakeSlack]:
    fake = FakeSlack(bot_name="small")
    await fake.start()  # not `async with`, after which nobody may have been pinged
    yield fake
    await fake.stop()
    fake.check_contract()


@pytest.fixture
def channel(fake: FakeSlack) -> Channel:
    return fake.add_channel("general")


@pytest.fixture
def ann(fake: FakeSlack) -> Person:
    return fake.add_person("ann")


@pytest.fixture
async def small(fake: FakeSlack, channel: Channel) -> AsyncIterator[SmallApp]:
    small = SmallApp(fake)
    await small.handler.connect_async()
    await fake.socket.wait_connected()
    yield small
    await small.handler.close_async()


@pytest.fixture
def client(fake: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(fake.bot_token, base_url=fake.url)


async def refusal(call: Any) -> str:
    with pytest.raises(SlackApiError) as found:
        await call
    return str(found.value.response["error"])


async def heard(fake: FakeSlack, condition: Callable[[], Any]) -> Any:
    return await fake.wait_for(condition)


async def test_a_mention_comes_twice_with_one_timestamp(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    question = await ann.says(channel, "ahoy", mentions_bot=True)
    await heard(fake, lambda: small.of("app_mention") and small.of("message"))
    assert small.of("app_mention")[0]["ts"] == small.of("message")[0]["ts"] == question.ts
    await fake.socket.wait_acknowledged()
    ids = {one.payload["event_id"] for one in fake.socket.envelopes if one.event.get("ts") == question.ts}
    assert len(ids) == 2


async def test_a_bot_answers_in_the_thread(fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person):
    question = await ann.says(channel, "ahoy", mentions_bot=True)
    answer = await small.client.chat_postMessage(
        channel=channel.id, text="hello", thread_ts=question.ts, unfurl_links=False, unfurl_media=False
    )
    assert [one.content for one in channel.thread(question)] == [question.content, "hello"]
    assert answer["message"]["parent_user_id"] == ann.id
    shown = await small.client.conversations_replies(channel=channel.id, ts=question.ts)
    assert [one["text"] for one in shown["messages"]] == [question.text, "hello"]
    assert not (await small.client.conversations_history(channel=channel.id, oldest=question.ts))["messages"]


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


async def test_a_press_on_a_feedback_button_says_which(fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person):
    pressed: list[dict[str, Any]] = []

    @small.app.action("thumbs")
    async def on_press(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        pressed.append(body)

    await small.client.chat_postMessage(channel=channel.id, text="hello", blocks=[FEEDBACK])
    message = channel.messages[-1]
    interaction = await ann.presses(message, "Bad")
    await interaction.wait_acknowledged()
    assert pressed[0]["actions"][0]["value"] == "down"
    assert pressed[0]["message"]["ts"] == message.ts
    assert pressed[0]["user"]["id"] == ann.id


async def test_a_command_is_answered_at_its_response_url(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    @small.app.command("/persona")
    async def on_command(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack("one moment")
        await respond(f"you said {command['text']}")
        await respond("to all", response_type="in_channel", unfurl_links=False, unfurl_media=False)

    interaction = await ann.uses("persona", "zen", in_=channel)
    await fake.wait_for(lambda: len(interaction.replies) == 3)
    assert [one.text for one in interaction.replies] == ["one moment", "you said zen", "to all"]
    assert [one.only_for for one in interaction.replies] == [ann, ann, None]
    ben = fake.add_person("ben")
    assert [one.text for one in ben.sees(channel)] == ["to all"]


async def test_a_command_inside_a_thread_is_not_offered(channel: Channel, ann: Person):
    question = await ann.says(channel, "ahoy")
    with pytest.raises(AssertionError, match="refuses slash commands in threads"):
        await ann.uses("persona", in_=question)


async def test_a_shortcut_opens_a_form_and_the_form_comes_back(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    forms: list[dict[str, Any]] = []

    @small.app.shortcut("ask")
    async def on_shortcut(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @small.app.view("better")
    async def on_submit(ack: Any, view: dict[str, Any]) -> None:
        forms.append(view["state"]["values"])
        if forms[-1]["words"]["text"]["value"] == "bad":
            await ack(response_action="errors", errors={"words": "no"})
        else:
            await ack()

    message = await ann.says(channel, "words")
    interaction = await ann.uses_on(message, "ask")
    view = await interaction.wait_modal()
    assert view.title == "A better answer"
    await (await ann.submits(view, text="bad")).wait_acknowledged()
    assert view.errors == {"words": "no"}
    assert view.is_open
    await (await ann.submits(view, text="good")).wait_acknowledged()
    assert not view.is_open
    assert [form["words"]["text"]["value"] for form in forms] == ["bad", "good"]


async def test_a_trigger_opens_one_form_within_three_seconds(fake: FakeSlack, small: SmallApp, ann: Person):
    channel = next(iter(fake.world.channels.values()))
    message = await ann.says(channel, "words")
    fake.socket.hold()
    interaction = await ann.uses_on(message, "ask")
    call = small.client.views_open
    await call(trigger_id=interaction.trigger_id, view=MODAL)
    assert await refusal(call(trigger_id=interaction.trigger_id, view=MODAL)) == "exchanged_trigger_id"
    late = await ann.uses_on(message, "ask")
    fake.pass_time(3)
    assert await refusal(call(trigger_id=late.trigger_id, view=MODAL)) == "expired_trigger_id"


async def test_the_home_is_opened_and_published(fake: FakeSlack, small: SmallApp, ann: Person):
    await ann.opens_home()
    await heard(fake, lambda: small.of("app_home_opened"))
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*Personas*"}}]
    await small.client.views_publish(user_id=ann.id, view={"type": "home", "blocks": blocks})
    assert ann.home is not None
    assert ann.home.content == "*Personas*"


async def test_reactions_name_an_author_only_where_there_is_one(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    await small.client.chat_postMessage(channel=channel.id, text="plain")
    await small.client.chat_postMessage(channel=channel.id, text="dressed", username="Codebeard")
    plain, dressed = channel.messages
    await ann.reacts(plain, "👍")
    await ann.reacts(dressed, "👎")
    await ann.unreacts(dressed, "👎")
    await heard(fake, lambda: small.of("reaction_removed"))
    added = small.of("reaction_added")
    assert [event["reaction"] for event in added] == ["+1", "-1"]
    assert [event.get("item_user") for event in added] == [fake.bot.id, None]
    found = await small.client.reactions_get(channel=channel.id, timestamp=plain.ts)
    assert found["message"]["reactions"] == [{"name": "+1", "count": 1, "users": [ann.id]}]


async def test_a_lost_acknowledgement_brings_the_event_again(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    await ann.joins(channel)
    await fake.socket.wait_acknowledged()
    fake.socket.lose_acknowledgements()
    await ann.says(channel, "hello")
    await heard(fake, lambda: small.of("message"))
    fake.pass_time(3)
    await heard(fake, lambda: len(small.of("message")) == 2)
    first, second = small.of("message")
    assert first == second
    assert small.retries[-1] == ["1"]
    await fake.socket.wait_acknowledged()


async def test_a_dropped_socket_is_opened_again_and_nothing_is_lost(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    await fake.socket.drop()
    await ann.says(channel, "meanwhile")
    await fake.socket.wait_connected(2)
    await heard(fake, lambda: small.of("message"))
    assert small.of("message")[0]["text"] == "meanwhile"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_refresh_opens_a_new_socket(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person, reason: str
):
    await fake.socket.ask_reconnect(reason)
    await fake.socket.wait_connected(2)
    await ann.says(channel, "hello")
    await heard(fake, lambda: small.of("message"))


async def test_a_socket_url_opens_once(fake: FakeSlack):
    opened = await AsyncWebClient(base_url=fake.url).apps_connections_open(app_token=fake.app_token)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(opened["url"]) as socket:
            assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


async def test_the_two_tokens_have_their_own_methods(fake: FakeSlack):
    assert await refusal(AsyncWebClient("xoxb-wrong", base_url=fake.url).auth_test()) == "invalid_auth"
    assert await refusal(AsyncWebClient(base_url=fake.url).auth_test()) == "not_authed"
    crossed = AsyncWebClient(base_url=fake.url).apps_connections_open(app_token=fake.bot_token)
    assert await refusal(crossed) == "not_allowed_token_type"


async def test_a_missing_scope_is_named(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    fake.scopes.remove("chat:write.customize")
    with pytest.raises(SlackApiError) as found:
        await client.chat_postMessage(channel=channel.id, text="x", username="Codebeard")
    assert found.value.response["error"] == "missing_scope"
    assert found.value.response["needed"] == "chat:write.customize"
    fake.scopes.remove("users:read")
    assert await refusal(client.users_info(user=fake.bot.id)) == "missing_scope"


async def test_events_need_their_scope_and_the_bot_in_the_channel(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    await ann.says(fake.add_channel("elsewhere", with_bot=False), "unheard", mentions_bot=True)
    await ann.says(fake.dm_between(ann, fake.add_person("ben")), "unheard")
    fake.scopes.remove("channels:history")
    await ann.says(channel, "unheard")
    await ann.says(await ann.opens_dm(), "heard")
    await heard(fake, lambda: small.of("message"))
    assert [event["text"] for event in small.of("message")] == ["heard"]
    assert not small.of("app_mention")


async def test_places_refuse_who_is_not_there(fake: FakeSlack, client: AsyncWebClient, channel: Channel, ann: Person):
    outside = fake.add_channel("outside", with_bot=False)
    hidden = fake.add_channel("hidden", private=True, with_bot=False)
    assert await refusal(client.chat_postMessage(channel=outside.id, text="x")) == "not_in_channel"
    assert await refusal(client.chat_postMessage(channel=hidden.id, text="x")) == "channel_not_found"
    channel.archive()
    assert await refusal(client.chat_postMessage(channel=channel.id, text="x")) == "is_archived"
    stranger = client.chat_postEphemeral(channel=outside.id, user=ann.id, text="x")
    assert await refusal(stranger) == "not_in_channel"


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


async def test_a_rate_limit_says_how_long(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    fake.rate_limits.turn_on({"chat.postMessage": Limit(1, 60.0)})
    await client.chat_postMessage(channel=channel.id, text="x")
    with pytest.raises(SlackApiError) as found:
        await client.chat_postMessage(channel=channel.id, text="y")
    assert found.value.response.status_code == 429
    assert found.value.response["error"] == "ratelimited"
    assert 0 < int(found.value.response.headers["Retry-After"]) <= 60
    assert fake.rate_limits.refused == [("chat.postMessage", channel.id)]


async def test_stock_retries_wait_a_rate_limit_out(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    fake.faults.rate_limit("chat.postMessage", retry_after_s=0)
    await client.chat_postMessage(channel=channel.id, text="x")
    assert [one.text for one in channel.messages] == ["x"]


async def test_faults_strike_as_often_as_told(fake: FakeSlack, client: AsyncWebClient, channel: Channel):
    client.retry_handlers.clear()
    post = client.chat_postMessage
    fake.faults.refuse("chat.*", "fatal_error")
    assert await refusal(post(channel=channel.id, text="x")) == "fatal_error"
    fake.faults.break_down("chat.*")
    with pytest.raises(SlackApiError):
        await post(channel=channel.id, text="x")
    fake.faults.cut("chat.*")
    with pytest.raises(aiohttp.ClientError):
        await post(channel=channel.id, text="x")
    assert not channel.messages
    fake.faults.lose_answer("chat.*")
    with pytest.raises(aiohttp.ClientError):
        await post(channel=channel.id, text="lost")
    assert [one.text for one in channel.messages] == ["lost"]
    fault = fake.faults.hang("chat.*")
    waiting = asyncio.create_task(post(channel=channel.id, text="later"))
    await fault.struck.wait()
    assert len(channel.messages) == 1
    fault.release()
    await waiting
    assert len(channel.messages) == 2


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


async def test_an_edit_and_a_deletion_are_told_with_what_was_there(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    message = await ann.says(channel, "one")
    await ann.edits(message, "two")
    await ann.deletes(message)
    await heard(fake, lambda: len(small.of("message")) == 3)
    _, changed, deleted = small.of("message")
    assert changed["subtype"] == "message_changed"
    assert (changed["previous_message"]["text"], changed["message"]["text"]) == ("one", "two")
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", message.ts)


async def test_a_deleted_beginning_of_a_thread_leaves_a_tombstone(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    root = await ann.says(channel, "one")
    await ann.says(root, "two")
    await ann.deletes(root)
    await heard(fake, lambda: len(small.of("message")) == 3)
    assert small.of("message")[2]["message"]["subtype"] == "tombstone"


async def test_a_file_is_read_with_the_token(fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person):
    await ann.says(channel, "look", files={"note.txt": b"words"})
    await heard(fake, lambda: small.of("message"))
    event = small.of("message")[0]
    assert event["subtype"] == "file_share"
    url = event["files"][0]["url_private"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {fake.bot_token}"}) as session:
        assert await (await session.get(url)).read() == b"words"
    async with aiohttp.ClientSession() as session:
        assert b"Sign in" in await (await session.get(url)).read()


async def test_an_uninstalled_app_hears_of_it_and_nothing_works(fake: FakeSlack, small: SmallApp):
    await small.client.auth_test()
    fake.uninstall()
    await fake.socket.wait_acknowledged()
    assert await refusal(small.client.auth_test()) == "account_inactive"


async def test_a_response_url_wears_out(fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person):
    fake.socket.hold()
    interaction = await ann.uses("persona", in_=channel)
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            assert (await session.post(interaction.response_url, json={"text": "x"})).status == 200
        assert await (await session.post(interaction.response_url, json={"text": "x"})).text() == "used_url"
        old = await ann.uses("persona", in_=channel)
        fake.pass_time(1800)
        assert await (await session.post(old.response_url, json={"text": "x"})).text() == "expired_url"


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
