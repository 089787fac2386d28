"""Webhooks, the profile in a guild, coming and going, and registered commands on the fake."""

from __future__ import annotations

import discord

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.small_bot import SmallBot, refused, there


async def test_webhooks_post_edit_and_delete_under_other_names(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    here = await there(bot, channel)
    webhook = await here.create_webhook(name="personas", avatar=b"\x89PNG\r\n\x1a\n")
    assert [hook.id for hook in await here.webhooks()] == [webhook.id]
    sent = await webhook.send("arr", username="Codebeard", avatar_url="https://example.org/a.png", wait=True)
    await sent.edit(content="arr!")
    thread = await ann.starts_thread(channel, "below deck")
    await webhook.send("arr below", thread=discord.Object(thread.id), wait=True)
    assert [(one.author.name, one.text) for one in channel.from_bot] == [("Codebeard", "arr!")]
    assert thread.from_bot[0].text == "arr below"
    await sent.delete()
    assert channel.from_bot == []
    assert await refused(webhook.send("x", username="Clyde")) == 50035
    for number in range(14):
        await here.create_webhook(name=f"hook {number}")
    assert await refused(here.create_webhook(name="one more")) == 30007
    fake.webhooks[0].delete()
    assert await refused(webhook.send("gone")) == 10015


async def test_the_bot_has_a_profile_in_each_guild(guild: Guild, channel: Channel, bot: SmallBot) -> None:
    me = bot.get_guild(guild.id).me  # type: ignore[union-attr]
    await me.edit(nick="Codebeard", avatar=b"\x89PNG\r\n\x1a\n", bio="Arr.")
    assert (guild.bot_member.nick, guild.bot_member.bio) == ("Codebeard", "Arr.")
    await bot.hear("member_update")
    assert bot.get_guild(guild.id).me.nick == "Codebeard"  # type: ignore[union-attr]
    fetched = await bot.fetch_guild(guild.id)
    assert {role.name for role in await fetched.fetch_roles()} == {"@everyone", "small"}
    assert (await bot.application_info()).id == bot.application_id


async def test_coming_and_going_is_heard(fake: FakeDiscord, guild: Guild, ann: Person, bot: SmallBot) -> None:
    new = fake.add_guild("new")
    assert (await bot.hear("guild_join")).id == new.id
    extra = guild.add_channel("extra")
    await bot.hear("guild_channel_create")
    extra.delete()
    assert (await bot.hear("guild_channel_delete")).id == extra.id
    new.remove_bot()
    assert (await bot.hear("guild_remove")).id == new.id
    assert await refused(bot.fetch_guild(new.id)) == 50001


async def test_commands_are_kept_and_their_writes_counted(fake: FakeDiscord, guild: Guild, bot: SmallBot) -> None:
    assert fake.application.command_writes == 1
    before = {command.name: command.id for command in await bot.tree.fetch_commands()}
    await bot.tree.sync()
    fetched = await bot.tree.fetch_commands()
    assert {command.name: command.id for command in fetched} == before
    bot.tree.copy_global_to(guild=discord.Object(guild.id))
    assert len(await bot.tree.sync(guild=discord.Object(guild.id))) == len(before)
    await fetched[0].edit(name="renamed")
    await fetched[1].delete()
    assert fake.application.command_writes == 5
    assert len(fake.application.registered(None)) == len(before) - 1
