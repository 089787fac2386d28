"""/settings: for those whom Discord lets use it."""

from __future__ import annotations

import asyncio

import pytest

from core.store import consent, places
from core.store.places import PlaceSettings
from tests.discord.commands import admin, registered, use
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.channels import Channel
from tests.running.patience import TIMEOUT_S


async def stored(room: DiscordRoom, *place_ids: str) -> PlaceSettings:
    async with room.service.store.write() as session:
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


async def test_who_no_longer_lets_text_be_kept_erases_it_where_no_narrower_place_keeps_it(room: DiscordRoom):
    await registered(room)
    mod = admin(room)
    assert room.channel.guild is not None
    other = room.channel.guild.add_channel("other")
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
    shown = await use(room, "settings", who=mod, keep_text=True, scope="server")
    assert "Erased" not in shown.content
    await use(room, "settings", who=mod, in_=other, keep_text=True)
    await room.ask_and_answer("my secret")
    await room.answer(await room.ann.says(other, "my other secret", mentions_bot=True))
    shown = await use(room, "settings", who=mod, keep_text=False, scope="server")
    assert "Erased: the words that were kept with 1 answer." in shown.content
    assert [exchange.prompt is not None for exchange in await room.exchanges()] == [False, True]
    shown = await use(room, "settings", who=mod, in_=other, keep_text=False)
    assert "with 1 answer." in shown.content
    assert [exchange.reply for exchange in await room.exchanges()] == [None, None]


async def test_a_channel_whose_free_talk_ends_needs_mentions_again(open_room: DiscordRoom):
    await registered(open_room)
    mod = admin(open_room)
    await use(open_room, "settings", who=mod, free_talk=True)
    await open_room.answer(await open_room.ann.says(open_room.channel, "good morning"))
    await use(open_room, "settings", who=mod, free_talk=False)
    await open_room.ann.says(open_room.channel, "nobody answers this")
    await open_room.ask_and_answer("but this")
    assert len(await open_room.exchanges()) == 2


async def test_in_a_thread_the_card_says_what_counts_for_the_thread(open_room: DiscordRoom):
    await registered(open_room)
    mod = admin(open_room)
    await use(open_room, "settings", who=mod, free_talk=True)
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    assert "free talk **off**" in (await use(open_room, "settings", who=mod, in_=thread)).content
    await open_room.answer(await open_room.ann.says(thread, "hello", mentions_bot=True))
    assert "free talk **on**" in (await use(open_room, "settings", who=mod, in_=thread)).content
    assert "free talk **off**" in (await use(open_room, "settings", who=mod, in_=thread, free_talk=False)).content


async def test_a_thread_that_wants_no_free_talk_needs_mentions(open_room: DiscordRoom):
    await registered(open_room)
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.answer(await open_room.ann.says(thread, "hello", mentions_bot=True))
    await use(open_room, "settings", who=admin(open_room), in_=thread, free_talk=False)
    await open_room.ann.says(thread, "nobody answers this")
    await open_room.answer(await open_room.ann.says(thread, "but this", mentions_bot=True))
    assert len(await open_room.exchanges()) == 2


async def test_a_thread_with_free_talk_needs_no_mention_though_the_bot_was_never_called_there(open_room: DiscordRoom):
    await registered(open_room)
    thread = await open_room.ann.starts_thread(open_room.channel, "tales")
    await open_room.ann.says(thread, "nobody answers this")
    await use(open_room, "settings", who=admin(open_room), in_=thread, free_talk=True)
    answer = await open_room.answer(await open_room.ann.says(thread, "but this"))
    assert answer.content.endswith("but this")
    assert len(await open_room.exchanges()) == 1


async def test_what_a_channel_chose_about_free_talk_is_looked_up_once(
    open_room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    await registered(open_room)
    mod = admin(open_room)
    heard: asyncio.Queue[str] = asyncio.Queue()
    looked_up: list[tuple[str, ...]] = []
    hear, free_talk_of = open_room.chat.parts.listener.hear, places.free_talk_of

    async def hear_and_tell(message):
        await hear(message)
        heard.put_nowait(message.content)

    async def look_up(session, *place_ids):
        looked_up.append(place_ids)
        return await free_talk_of(session, *place_ids)

    monkeypatch.setattr(open_room.chat.parts.listener, "hear", hear_and_tell)
    monkeypatch.setattr(places, "free_talk_of", look_up)
    for text in ("hello everybody", "how are you all"):
        await open_room.ann.says(open_room.channel, text)
        async with asyncio.timeout(TIMEOUT_S):
            assert await heard.get() == text
    assert len(looked_up) == 1
    await use(open_room, "settings", who=mod, free_talk=True)
    await open_room.answer(await open_room.ann.says(open_room.channel, "good morning"))
