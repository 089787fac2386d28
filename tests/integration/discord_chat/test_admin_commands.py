"""/settings: for those whom Discord lets use it."""

from __future__ import annotations

import pytest

from core.store import places
from core.store.places import PlaceSettings
from tests.discord_commands import admin, registered, use
from tests.discord_rooms import DiscordRoom
from tests.fakes.fake_discord.channels import Channel


async def stored(room: DiscordRoom, *place_ids: str) -> PlaceSettings:
    async with room.service.store.session() as session:
        return await places.settings_of(session, *place_ids)


def place(channel: Channel) -> str:
    return f"discord:channel:{channel.id}"


async def test_by_default_only_who_manages_the_server_may_use_it(room: DiscordRoom):
    await registered(room)
    with pytest.raises(AssertionError, match="ann may not use 'settings'"):
        await room.ann.uses("settings", in_=room.channel)
    assert (await use(room, "settings", who=admin(room))).ephemeral


async def test_without_options_it_shows_what_counts_here(room: DiscordRoom):
    await registered(room)
    shown = await use(room, "settings", who=admin(room))
    assert "identity **message**" in shown.content
    assert "free talk **off**" in shown.content
    assert "keeping text **off**" in shown.content
    assert "Changed" not in shown.content


async def test_a_channels_settings_go_before_the_servers(room: DiscordRoom):
    await registered(room)
    mod = admin(room)
    assert room.channel.guild is not None
    other = room.channel.guild.add_channel("other")
    await use(room, "settings", who=mod, keep_text=True, identity="webhook", scope="server")
    shown = await use(room, "settings", who=mod, keep_text=False)
    assert shown.content.startswith("Changed for this channel.")
    server = f"discord:guild:{room.channel.guild.id}"
    assert await stored(room, place(room.channel), server) == PlaceSettings(identity="webhook", is_text_kept=False)
    assert await stored(room, place(other), server) == PlaceSettings(identity="webhook", is_text_kept=True)


async def test_free_talk_needs_the_message_content_intent(room: DiscordRoom):
    await registered(room)
    shown = await use(room, "settings", who=admin(room), free_talk=True)
    assert "needs the Message Content intent" in shown.content
    assert not (await stored(room, place(room.channel))).is_free_talk


async def test_with_the_intent_a_free_talk_channel_needs_no_mention(open_room: DiscordRoom):
    await registered(open_room)
    shown = await use(open_room, "settings", who=admin(open_room), free_talk=True)
    assert "free talk **on**" in shown.content
    question = await open_room.ann.says(open_room.channel, "good morning")
    assert (await open_room.answer(question)).content.endswith("good morning")


async def test_free_talk_is_never_opened_for_a_whole_server(open_room: DiscordRoom):
    await registered(open_room)
    shown = await use(open_room, "settings", who=admin(open_room), free_talk=True, scope="server")
    assert "opened channel by channel" in shown.content


async def test_an_identity_that_lacks_a_permission_says_which(room: DiscordRoom):
    await registered(room)
    assert room.channel.guild is not None
    room.channel.guild.forbid_bot("manage_webhooks", "change_nickname")
    mod = admin(room)
    assert "lack the permission Manage Webhooks" in (await use(room, "settings", who=mod, identity="webhook")).content
    assert "lack the permission Change Nickname" in (await use(room, "settings", who=mod, identity="profile")).content
    assert "lack" not in (await use(room, "settings", who=mod, identity="message")).content
