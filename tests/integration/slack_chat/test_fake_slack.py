"""What people do at the fake Slack, as stock slack-bolt hears it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.server import FakeSlack
from tests.slack.small_app import FEEDBACK, MODAL, SmallApp, refusal


async def test_a_mention_comes_twice_with_one_timestamp(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    question = await ann.says(channel, "ahoy", mentions_bot=True)
    await fake.wait_for(lambda: small.of("app_mention") and small.of("message"))
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
    shown = {one.text: one.only_for for one in interaction.replies}  # bolt acknowledges beside the rest
    assert shown == {"one moment": ann, "you said zen": ann, "to all": None}
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
    await fake.wait_for(lambda: small.of("app_home_opened"))
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
    await fake.wait_for(lambda: small.of("reaction_removed"))
    added = small.of("reaction_added")
    assert [event["reaction"] for event in added] == ["+1", "-1"]
    assert [event.get("item_user") for event in added] == [fake.bot.id, None]
    found = await small.client.reactions_get(channel=channel.id, timestamp=plain.ts)
    assert found["message"]["reactions"] == [{"name": "+1", "count": 1, "users": [ann.id]}]


async def test_an_edit_and_a_deletion_are_told_with_what_was_there(
    fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person
):
    message = await ann.says(channel, "one")
    await ann.edits(message, "two")
    await ann.deletes(message)
    await fake.wait_for(lambda: len(small.of("message")) == 3)
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
    await fake.wait_for(lambda: len(small.of("message")) == 3)
    assert small.of("message")[2]["message"]["subtype"] == "tombstone"


async def test_a_file_is_read_with_the_token(fake: FakeSlack, small: SmallApp, channel: Channel, ann: Person):
    await ann.says(channel, "look", files={"note.txt": b"words"})
    await fake.wait_for(lambda: small.of("message"))
    event = small.of("message")[0]
    assert event["subtype"] == "file_share"
    url = event["files"][0]["url_private"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {fake.bot_token}"}) as session:
        assert await (await session.get(url)).read() == b"words"
    async with aiohttp.ClientSession() as session:
        assert b"Sign in" in await (await session.get(url)).read()


async def test_a_file_of_the_bot_is_sent_in_three_steps(
    fake: FakeSlack, client: AsyncWebClient, channel: Channel, ann: Person
):
    await client.files_upload_v2(channel=channel.id, filename="data.json", content="{}", initial_comment="yours")
    message = channel.messages[-1]
    assert message.text == "yours"
    assert [(one["name"], fake.world.files[one["id"]]) for one in message.files] == [("data.json", b"{}")]
