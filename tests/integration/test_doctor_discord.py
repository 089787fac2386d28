"""What `personas doctor` finds out about Discord, and what it says to do."""

from __future__ import annotations

import json

import discord
import pytest
from discord import app_commands

from bot.discord_chat.commands import tree as command_tree
from bot.discord_chat.commands.sync import FILE_NAME
from bot.discord_chat.doctor import inspect
from bot.discord_chat.rights import PERMISSIONS, RIGHTS
from core.settings import ROOT, Settings
from core.store import places
from core.store.db import Store
from tests.fakes.fake_discord.channels import FORUM, VOICE
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.command import TORCH_FREE, personas


@pytest.fixture
async def fake():
    async with FakeDiscord() as found:
        yield found
        found.check_contract()
        changes = [one for one in found.requests if one.method not in ("GET", "PUT")]
        assert changes == []


async def findings(fake, tmp_path, **settings):
    given = {"discord_token": fake.token, "discord_api_url": fake.url, "data_dir": tmp_path, **settings}
    return [(finding.level, finding.text) async for finding in inspect(Settings(**given), serve="personas serve")]


def line(found, *parts):
    """The level and text of the one line that says all this."""
    [one] = [(level, text) for level, text in found if all(part in text for part in parts)]
    return one


async def register(fake):
    """What `personas serve` does when it first connects."""
    discord.http.Route.BASE = fake.url
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(fake.token)
        tree = app_commands.CommandTree(client)
        command_tree.define(tree)
        await tree.sync()


async def test_whose_token_it_is(fake, tmp_path):
    level, text = line(await findings(fake, tmp_path), "the token is that of")
    assert level == "ok" and fake.bot.name in text and fake.application.name in text


async def test_a_refused_token_says_where_to_get_another(fake, tmp_path):
    [(level, text)] = await findings(fake, tmp_path, discord_token="not-the-token")
    assert level == "fail" and "make a new token" in text and "not-the-token" not in text


async def test_a_discord_that_does_not_answer_is_named(fake, tmp_path):
    fake.faults.cut("GET", "/users/@me", times=9)
    [(level, text)] = await findings(fake, tmp_path)
    assert level == "fail" and fake.url in text and "check the network" in text


@pytest.mark.parametrize("has_intent", [False, True])
async def test_the_message_content_intent_and_what_it_means(fake, tmp_path, has_intent):
    fake.application.message_content = has_intent
    level, text = line(await findings(fake, tmp_path), "Message Content intent")
    assert level == "ok"
    assert ("intent on:" in text) is has_intent
    assert (f"applications/{fake.application.id}/bot" in text) is not has_intent


async def test_commands_are_unknown_then_told_then_changed(fake, tmp_path):
    assert line(await findings(fake, tmp_path), "does not have this version's commands yet")[0] == "warn"
    await register(fake)
    assert line(await findings(fake, tmp_path), "has the commands of this version")[0] == "ok"
    (tmp_path / FILE_NAME).write_text(json.dumps({}))
    told = fake.application.commands[None]
    del told[next(number for number, command in told.items() if command["name"] == "blend")]
    level, text = line(await findings(fake, tmp_path), '"blend"')
    assert level == "warn" and str(tmp_path / FILE_NAME) in text


async def test_a_server_where_all_is_well(fake, tmp_path):
    guild = fake.add_guild("harbour")
    guild.add_channel("general")
    guild.add_channel("rules").forbid_bot("send_messages")
    guild.add_channel("secret").forbid_bot("view_channel", "send_messages")
    level, text = line(await findings(fake, tmp_path), '"harbour"')
    assert (level, text.partition('"harbour" ')[2]) == (
        "ok",
        "the bot may do all it needs, but lacks Send Messages in #rules: Edit Channel, Permissions",
    )


async def test_channels_that_lack_a_right_are_named_right_by_right_and_counted_where_they_are_many(fake, tmp_path):
    guild = fake.add_guild("harbour")
    for number in range(6):
        guild.add_channel(f"log{number}").forbid_bot("read_message_history")
    guild.add_channel("market", kind=FORUM).forbid_bot("send_messages_in_threads", "send_messages")
    guild.add_channel("deck", kind=VOICE).forbid_bot("send_messages_in_threads", "send_messages", "manage_webhooks")
    level, text = line(await findings(fake, tmp_path), '"harbour"')
    assert (level, text.partition(" but lacks ")[2]) == (
        "ok",
        "Read Message History in #log0, #log1, #log2, #log3, 2 more; Send Messages in Threads in #market;"
        " Send Messages in #deck: Edit Channel, Permissions",
    )


async def test_channels_are_named_beside_what_the_whole_server_lacks(fake, tmp_path):
    guild = fake.add_guild("harbour")
    guild.forbid_bot("manage_webhooks")
    guild.add_channel("rules").forbid_bot("send_messages", "manage_webhooks")
    level, text = line(await findings(fake, tmp_path), '"harbour"')
    assert level == "warn" and "Manage Webhooks (" in text
    assert text.endswith("; and lacks Send Messages in #rules: Edit Channel, Permissions")


async def test_webhooks_are_missed_only_where_personas_speak_through_them(fake, tmp_path):
    guild = fake.add_guild("harbour")
    plain, faces = guild.add_channel("plain"), guild.add_channel("faces")
    for channel in (plain, faces):
        channel.forbid_bot("manage_webhooks")
    store = await Store.open(Settings(data_dir=tmp_path).store_url, create_or_upgrade=True)
    async with store.write() as session:
        await places.change(session, f"discord:guild:{guild.id}", source="discord", identity="webhook")
        await places.change(session, f"discord:channel:{plain.id}", source="discord", identity="message")
    await store.close()
    level, text = line(await findings(fake, tmp_path), '"harbour"')
    assert level == "warn" and text.endswith("but lacks Manage Webhooks in #faces: Edit Channel, Permissions")


@pytest.mark.parametrize("right", RIGHTS, ids=[right.flag for right in RIGHTS])
async def test_every_missing_permission_is_named_with_what_it_means_and_where_to_click(fake, tmp_path, right):
    fake.add_guild("harbour").forbid_bot(right.flag)
    level, text = line(await findings(fake, tmp_path), '"harbour"')
    assert level == ("fail" if right.is_essential else "warn")
    assert f"lacks {right.name} ({right.without}): Server Settings, Roles" in text


async def test_an_administrator_lacks_nothing(fake, tmp_path):
    guild = fake.add_guild("harbour")
    guild.forbid_bot("manage_webhooks")
    guild.allow_bot("administrator")
    assert line(await findings(fake, tmp_path), '"harbour"')[0] == "ok"


@pytest.mark.parametrize("is_in_a_server", [False, True])
async def test_the_invite_url_has_the_exact_scopes_and_permissions(fake, tmp_path, is_in_a_server):
    if is_in_a_server:
        fake.add_guild("harbour")
    level, text = line(await findings(fake, tmp_path), "https://discord.com/oauth2/authorize")
    assert level == ("ok" if is_in_a_server else "warn")
    assert f"permissions={PERMISSIONS.value}" in text and "scope=bot+applications.commands" in text


def test_without_a_token_it_is_one_quiet_line(tmp_path):
    done = personas("doctor", data_dir=tmp_path, without=TORCH_FREE, PERSONAS_PORT="0")
    [said] = [text for text in done.stdout.splitlines() if "iscord" in text]
    assert said.startswith("ok ") and "docs/discord.md" in said


def test_without_the_package_the_extra_is_named(tmp_path):
    without = (*TORCH_FREE, "discord")
    done = personas("doctor", data_dir=tmp_path, without=without, PERSONAS_PORT="0", PERSONAS_DISCORD_TOKEN="x")
    [said] = [text for text in done.stdout.splitlines() if "discord.py" in text]
    assert said.startswith("fail ") and f"-m pip install -e '{ROOT}[discord]'" in said
