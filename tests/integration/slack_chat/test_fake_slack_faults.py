"""What goes wrong at the fake Slack, and what it refuses, seen by stock slack-sdk and slack-bolt."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.rate_limits import Limit
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.small_app import SmallApp, refusal


async def test_a_lost_acknowledgement_brings_the_event_again(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    await ann.joins(channel)
    await fake.socket.wait_acknowledged()
    fake.socket.lose_acknowledgements()
    await ann.says(channel, "hello")
    await fake.wait_for(lambda: small.of("message"))
    fake.pass_time(3)
    await fake.wait_for(lambda: len(small.of("message")) == 2)
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
    await fake.wait_for(lambda: small.of("message"))
    assert small.of("message")[0]["text"] == "meanwhile"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_refresh_opens_a_new_socket(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person, reason: str
):
    await fake.socket.ask_reconnect(reason)
    await fake.socket.wait_connected(2)
    await ann.says(channel, "hello")
    await fake.wait_for(lambda: small.of("message"))


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
    await fake.wait_for(lambda: small.of("message"))
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
