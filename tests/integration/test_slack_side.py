"""Slack beside the web side, and what the doctor says of it: as whom the bot is there, or in one sentence why not."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest
from rich.console import Console

from bot.commands.slack_side import SlackSide
from bot.slack_chat.doctor import inspect
from bot.slack_chat.manifest import EVENTS, SCOPES, manifest
from bot.slack_chat.routes import events_of
from core.settings import Settings
from tests.fakes.fake_slack.server import FakeSlack
from tests.running.serving import until
from tests.slack.rooms import echo_service, slack_room


@pytest.fixture
async def fake():
    async with FakeSlack() as slack:
        yield slack


async def findings(fake: FakeSlack, folder, **settings) -> list[tuple[str, str]]:
    tokens = {"slack_bot_token": fake.bot_token, "slack_app_token": fake.app_token, "slack_api_url": fake.url}
    given = Settings(data_dir=folder, **{**tokens, **settings})
    return [(one.level, one.text) async for one in inspect(given, manifest="personas slack manifest")]


async def test_it_says_as_whom_it_is_there(tmp_path, fake):
    said = io.StringIO()
    async with echo_service(tmp_path, fake) as service:
        side = SlackSide(service, Console(file=said, width=80))
        running = asyncio.create_task(side.run())
        await until(lambda: side.greeting)
        await side.close()
        await running
    assert said.getvalue() == "On Slack as personas in the workspace harbour.\n"


async def test_without_tokens_it_stays_away_without_a_word(tmp_path, fake):
    said = io.StringIO()
    async with echo_service(tmp_path, fake, slack_bot_token=None, slack_app_token=None) as service:
        await SlackSide(service, Console(file=said)).run()
    assert said.getvalue() == ""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"slack_app_token": None}, "PERSONAS_SLACK_APP_TOKEN is not set"),
        ({"slack_bot_token": "xoxp-1"}, 'PERSONAS_SLACK_BOT_TOKEN does not begin with "xoxb-"'),
        ({"slack_bot_token": "xoxb-no"}, "Slack does not accept PERSONAS_SLACK_BOT_TOKEN (invalid_auth)"),
        ({"slack_app_token": "xapp-no"}, "Slack does not accept PERSONAS_SLACK_APP_TOKEN (invalid_auth)"),
    ],
)
async def test_a_token_that_is_wrong_is_one_sentence_and_never_shown(tmp_path, fake, settings, sentence):
    said = io.StringIO()
    async with echo_service(tmp_path, fake, **settings) as service:
        await SlackSide(service, Console(file=said, width=300)).run()
    assert said.getvalue().startswith(f"Not on Slack: {sentence}")
    assert fake.bot_token not in said.getvalue() and fake.app_token not in said.getvalue()


async def test_the_doctor_finds_all_well(tmp_path, fake):
    fake.scopes.update(SCOPES)
    found = await findings(fake, tmp_path)
    assert {level for level, _ in found} == {"ok"}
    assert "personas in the workspace harbour" in found[0][1]


async def test_the_doctor_names_a_missing_scope_and_what_to_click(tmp_path, fake):
    fake.scopes.update(SCOPES)
    fake.scopes -= {"chat:write.customize"}
    found = [text for level, text in await findings(fake, tmp_path) if level == "warn"]
    assert found[0].startswith("the scope chat:write.customize is missing, so personas have no names")
    assert "Reinstall to Workspace" in found[0]
    assert "`personas slack manifest`" in found[1]


async def test_the_doctor_finds_an_app_of_this_versions_manifest_well(tmp_path, fake):
    fake.scopes.update(SCOPES)
    fake.world.manifest = json.loads(json.dumps(manifest()))
    found = await findings(fake, tmp_path, slack_config_token=fake.api.config_token)
    assert {level for level, _ in found} == {"ok"}
    assert "every event and command" in found[-1][1]


async def test_the_doctor_names_each_missing_event_and_command_and_what_to_click(tmp_path, fake):
    fake.scopes.update(SCOPES)
    made = json.loads(json.dumps(manifest()))
    made["settings"]["event_subscriptions"]["bot_events"].remove("reaction_added")
    made["settings"]["event_subscriptions"]["bot_events"].remove("app_mention")
    made["features"]["slash_commands"] = [one for one in made["features"]["slash_commands"] if "forget" not in str(one)]
    made["features"]["shortcuts"] = []
    fake.world.manifest = made
    found = await findings(fake, tmp_path, slack_config_token=fake.api.config_token)
    said = {text.partition(":")[0]: (level, text) for level, text in found if level != "ok"}
    assert said["the event app_mention is not subscribed, so it does not hear that it is mentioned"][0] == "fail"
    level, text = said["the event reaction_added is not subscribed, so thumbs as reactions do not count"]
    assert level == "warn" and text.endswith("Event Subscriptions, bot events")
    assert "Slash Commands, Create New Command" in said["the command /forget is missing"][1]
    assert "the message shortcut is missing" in said
    assert "`personas slack manifest`" in found[-1][1]


async def test_the_doctor_says_how_to_let_it_see_the_events(tmp_path, fake):
    fake.scopes.update(SCOPES)
    unseen = [text for _, text in await findings(fake, tmp_path) if "PERSONAS_SLACK_CONFIG_TOKEN" in text]
    assert len(unseen) == 1 and "Your App Configuration Tokens" in unseen[0]
    wrong = await findings(fake, tmp_path, slack_config_token="xoxe-wrong")
    [refused] = [text for level, text in wrong if level == "fail"]
    assert "(invalid_auth)" in refused and "xoxe-wrong" not in refused


async def test_the_doctor_and_its_log_show_no_token(tmp_path, fake, caplog):
    caplog.set_level(logging.DEBUG)
    fake.scopes.update(SCOPES)
    fake.world.manifest = json.loads(json.dumps(manifest()))
    found = await findings(fake, tmp_path, slack_config_token=fake.api.config_token)
    said = caplog.text + str(found)
    assert fake.calls_of("apps.manifest.export")
    assert not [token for token in (fake.bot_token, fake.app_token, fake.api.config_token) if token in said]


async def test_the_doctor_says_that_socket_mode_is_off(tmp_path, fake):
    fake.scopes.update(SCOPES)
    fake.world.is_socket_mode_off = True
    assert ("fail", "Socket Mode is off; switch it on at api.slack.com/apps, Socket Mode.") in await findings(
        fake, tmp_path
    )


async def test_the_manifest_asks_for_what_is_heard(tmp_path):
    async with slack_room(tmp_path) as room:
        heard = set(events_of(room.chat.parts))
    assert {event.partition(".")[0] for event in EVENTS} <= heard
    made = json.loads(json.dumps(manifest()))
    assert made["settings"]["socket_mode_enabled"] and set(made["oauth_config"]["scopes"]["bot"]) == set(SCOPES)
    assert "/persona" in {command["command"] for command in made["features"]["slash_commands"]}
