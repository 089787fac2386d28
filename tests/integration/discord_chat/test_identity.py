"""Who a reply comes from: a header, a webhook with the persona's face, or the bot's own profile in a server."""

from __future__ import annotations

import pytest

from bot.discord_chat import profiles
from core.store import places
from tests.discord.commands import PNG, admin, registered, use
from tests.discord.rooms import DiscordRoom

HEADER = "**🏴 Captain Codebeard**\n"


async def choose(room: DiscordRoom, shown_as: str, **models: str) -> None:
    """Let the server show personas this way; `models` are what "channel" or "guild" is bound to."""
    ids = {"guild": f"discord:guild:{room.channel.guild.id}", "channel": f"discord:channel:{room.channel.id}"}
    async with room.service.store.write() as session:
        await places.change(session, ids["guild"], source="discord", identity=shown_as)  # type: ignore[typeddict-item]
        for place, model in models.items():
            await places.set_model(session, ids[place], source="discord", model=model)


async def test_a_webhook_speaks_under_the_personas_name(room: DiscordRoom):
    await choose(room, "webhook")
    answer = await room.ask_and_answer("good morning")
    assert answer.content == "[codebeard@1] good morning"
    assert answer.author.name == "Captain Codebeard"
    assert answer.webhook is not None
    assert answer.buttons
    await room.ask_and_answer("and again")
    assert len(room.fake.webhooks) == 1


async def test_each_persona_has_a_webhook_of_its_own(room: DiscordRoom):
    await choose(room, "webhook")
    await room.ask_and_answer("good morning")
    await choose(room, "webhook", channel="zen")
    answer = await room.ask_and_answer("breathe")
    assert answer.author.name == "Master Zen"
    assert sorted(webhook.name for webhook in room.fake.webhooks) == ["Captain Codebeard", "Master Zen"]


async def test_the_picture_of_a_persona_is_given_to_its_webhook(room: DiscordRoom):
    picture = bytes.fromhex("89504e470d0a1a0a0000000d49484452")
    (room.service.personas["codebeard"].folder / "avatar.png").write_bytes(picture)
    await choose(room, "webhook")
    await room.ask_and_answer("good morning")
    [created] = room.fake.requests_of("POST", "/channels/*/webhooks")
    assert created.body["avatar"].startswith("data:image/png;base64,")


async def test_a_webhook_speaks_in_threads(room: DiscordRoom):
    await choose(room, "webhook")
    thread = await room.ann.starts_thread(room.channel, "tales")
    answer = await room.answer(await room.ann.says(thread, "good morning", mentions_bot=True))
    assert answer.channel is thread
    assert answer.author.name == "Captain Codebeard"


async def test_without_the_permission_the_header_stays_and_the_reason_is_told_once(room: DiscordRoom):
    room.channel.guild.forbid_bot("manage_webhooks")
    await choose(room, "webhook")
    answer = await room.ask_and_answer("good morning")
    assert answer.content == HEADER + "[codebeard@1] good morning"
    await room.ask_and_answer("and again")
    reasons = [message.content for message in room.channel.from_bot if "Manage Webhooks" in message.content]
    assert len(reasons) == 1


async def test_a_webhook_that_a_moderator_deletes_is_made_anew(room: DiscordRoom):
    await choose(room, "webhook")
    await room.ask_and_answer("good morning")
    room.fake.webhooks[0].delete()
    answer = await room.ask_and_answer("and again")
    assert answer.author.name == "Captain Codebeard"
    assert len(room.fake.webhooks) == 1


async def test_a_webhook_deleted_in_mid_reply_leaves_a_whole_answer(room: DiscordRoom):
    await choose(room, "webhook")
    room.gate.close()
    question = await room.asks("one two three")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content == "[codebeard@1] one")
    room.fake.webhooks[0].delete()
    room.gate.open()
    answer = await room.answer(question)
    assert answer.content == "[codebeard@1] one two three"
    assert answer.webhook is None


async def test_a_reply_to_a_webhooks_post_is_answered_where_the_bot_reads_everything(open_room: DiscordRoom):
    await choose(open_room, "webhook")
    first = await open_room.ask_and_answer("good morning")
    second = await open_room.answer(await open_room.ann.says(open_room.channel, "and good night", reply_to=first))
    assert second.content == "[codebeard@1] and good night"
    assert len({exchange.conversation_id for exchange in await open_room.exchanges()}) == 1


async def test_a_reply_to_a_webhooks_post_that_cannot_be_read_is_said_so_once(room: DiscordRoom):
    await choose(room, "webhook")
    first = await room.ask_and_answer("good morning")
    await room.ann.says(room.channel, "and good night", reply_to=first)
    await room.channel.wait_for(lambda messages: "I cannot read replies to this face" in messages[-1].content)
    await room.ann.says(room.channel, "hello?", reply_to=first)
    await room.ask_and_answer("what now", reply_to=first)
    assert sum("cannot read" in message.content for message in room.channel.from_bot) == 1


async def test_an_edited_question_changes_the_webhooks_post(room: DiscordRoom):
    await choose(room, "webhook")
    question = await room.asks("good mornig")
    answer = await room.answer(question)
    await room.ann.edits(question, f"{room.fake.bot.mention} good morning")
    await room.ended(question, count=2)
    assert answer.content == "[codebeard@1] good morning"
    await room.ann.deletes(question)
    await room.fake.wait_for(lambda: answer.deleted)


async def test_the_bots_own_profile_wears_the_servers_persona(room: DiscordRoom):
    await choose(room, "profile", guild="zen")
    answer = await room.ask_and_answer("breathe")
    assert answer.content == "[zen@1] breathe"
    assert room.channel.guild.bot_member.nick == "Master Zen"


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_profile_that_discord_is_slow_to_change_holds_up_no_answer(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch, is_refused: bool
):
    monkeypatch.setattr(profiles, "PROFILE_WAIT_S", 0.05)
    await choose(room, "profile", guild="zen")
    if is_refused:
        room.fake.faults.refuse("PATCH", "/guilds/*/members/@me", 429, retry_after=3600.0)
    else:
        fault = room.fake.faults.hang("PATCH", "/guilds/*/members/@me")
    for text in ("breathe in", "breathe out"):
        assert (await room.ask_and_answer(text)).content == f"**🧘 Master Zen**\n[zen@1] {text}"
    assert len(room.fake.requests_of("PATCH", "/guilds/*/members/@me")) == 1
    if not is_refused:
        fault.release()
        await room.fake.wait_for(lambda: room.channel.guild.bot_member.nick == "Master Zen")
        await room.until(lambda: is_worn(room))
        assert (await room.ask_and_answer("and rest")).content == "[zen@1] and rest"


async def is_worn(room: DiscordRoom) -> bool:
    """Whether the bot has heard that its profile has changed."""
    return room.chat.bot.get_guild(room.channel.guild.id).me.nick is not None


async def test_a_persona_that_the_profile_does_not_show_has_its_header(room: DiscordRoom):
    await choose(room, "profile", guild="zen", channel="codebeard")
    answer = await room.ask_and_answer("ahoy")
    assert answer.content == HEADER + "[codebeard@1] ahoy"


async def test_without_the_right_to_a_nickname_the_header_stays_and_the_reason_is_told(room: DiscordRoom):
    room.channel.guild.forbid_bot("change_nickname")
    await choose(room, "profile")
    answer = await room.ask_and_answer("ahoy")
    assert answer.content == HEADER + "[codebeard@1] ahoy"
    assert any("Change Nickname" in message.content for message in room.channel.from_bot)


async def test_direct_messages_have_the_header_whatever_servers_choose(room: DiscordRoom):
    await choose(room, "webhook")
    dm = await room.ann.opens_dm()
    answer = await room.answer(await room.ann.says(dm, "ahoy"))
    assert answer.content == HEADER + "[codebeard@1] ahoy"


async def dressed(room: DiscordRoom):
    """The bot's member in the server, in the name and picture of its persona, after the server's choice."""
    await registered(room)
    (room.service.personas["codebeard"].folder / "avatar.png").write_bytes(PNG)
    await use(room, "settings", who=admin(room), identity="profile", scope="server")
    await room.ask_and_answer("ahoy")
    member = room.channel.guild.bot_member
    assert (member.nick, member.avatar is not None) == ("Captain Codebeard", True)
    return member


async def test_the_profile_is_the_bots_own_again_when_the_server_shows_personas_otherwise(room: DiscordRoom):
    member = await dressed(room)
    mod = admin(room, "second mod")
    await use(room, "settings", who=mod, identity="message")
    assert member.nick == "Captain Codebeard"  # one channel left it; the server still shows personas so
    shown = await use(room, "settings", who=mod, identity="message", scope="server")
    assert "⚠" not in shown.content
    assert (member.nick, member.avatar) == (None, None)


async def test_a_profile_that_may_not_be_given_back_is_said_and_harms_nothing(room: DiscordRoom):
    member = await dressed(room)
    room.channel.guild.forbid_bot("change_nickname")
    shown = await use(room, "settings", who=admin(room, "second mod"), identity="message", scope="server")
    assert "I cannot take the persona's name and picture off in this server" in shown.content
    assert "identity **message**" in shown.content
    assert member.nick == "Captain Codebeard"
    assert (await room.ask_and_answer("ahoy")).content == HEADER + "[codebeard@1] ahoy"


async def test_the_profile_is_the_bots_own_again_when_the_last_channel_that_chose_it_is_deleted(room: DiscordRoom):
    other = room.channel.guild.add_channel("other")
    async with room.service.store.write() as session:
        await places.change(session, f"discord:channel:{other.id}", source="discord", identity="profile")
    await room.answer(await room.ann.says(other, "ahoy", mentions_bot=True))
    member = room.channel.guild.bot_member
    assert member.nick == "Captain Codebeard"
    other.delete()
    await room.fake.wait_for(lambda: member.nick is None)
