"""Stock discord.py talks on the fake: messages, reactions, threads, pings, and the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import discord
import pytest

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.contract import REASON, load_contract
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.conftest import Start
from tests.integration.fakes.small_bot import SmallBot, refused, there


async def test_a_bot_without_the_intent_reads_mentions_dms_and_itself_only(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    await ann.says(channel, "among us")
    await ann.says(channel, "ahoy", mentions_bot=True)
    await ann.says(await ann.opens_dm(), "in private")
    heard = [await bot.hear("message") for _ in range(3)]
    assert [message.content for message in heard] == ["", f"{fake.bot.mention} ahoy", "in private"]
    answer = await heard[1].reply("hello")
    await answer.edit(content="hello there")
    await ann.says(channel, "and?", reply_to=channel.from_bot[0])
    await ann.says(channel, "silently", reply_to=channel.from_bot[0], ping=False)
    own, pinging, silent = [await bot.hear("message") for _ in range(3)]
    assert own.content.startswith("hello")
    assert (pinging.content, silent.content) == ("and?", "")
    history = [message.content async for message in (await there(bot, channel)).history()]
    assert history == ["", "and?", "hello there", f"{fake.bot.mention} ahoy", ""]
    assert [version.content for version in channel.from_bot[0].versions] == ["hello", "hello there"]
    assert channel.from_bot[0].reply_to is channel.messages[1]


async def test_with_the_intent_everything_is_read(
    fake: FakeDiscord, channel: Channel, ann: Person, start: Start
) -> None:
    fake.application.message_content = True
    intents = discord.Intents.default()
    intents.message_content = True
    bot = await start(intents)
    await ann.says(channel, "among us", files={"picture.png": b"pixels"})
    heard = await bot.hear("message")
    assert heard.content == "among us"
    assert await heard.attachments[0].read() == b"pixels"


async def test_an_intent_that_was_not_given_and_a_wrong_token_end_the_login(fake: FakeDiscord) -> None:
    intents = discord.Intents.default()
    intents.members = True
    bot = SmallBot(intents)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await bot.start(fake.token)
    async with SmallBot() as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.start("wrong")


async def test_history_goes_before_after_and_around(channel: Channel, ann: Person, bot: SmallBot) -> None:
    said = [await ann.says(channel, str(number), mentions_bot=True) for number in range(7)]
    here = await there(bot, channel)
    middle = discord.Object(said[3].id)

    async def ids(**options: Any) -> list[int]:
        return sorted([message.id async for message in here.history(limit=3, **options)])

    assert await ids(before=middle) == [message.id for message in said[:3]]
    assert await ids(after=middle) == [message.id for message in said[4:]]
    assert await ids(around=middle) == [message.id for message in said[2:5]]
    assert (await here.fetch_message(said[0].id)).author.id == ann.id


async def test_edits_deletions_unfurled_links_and_typing_are_heard(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    said = [await ann.says(channel, str(number), mentions_bot=True) for number in range(3)]
    await ann.edits(said[0], f"{fake.bot.mention} changed")
    fake.unfurl(said[1])
    edited, unfurled = await bot.hear("raw_message_edit"), await bot.hear("raw_message_edit")
    assert edited.message.content.endswith("changed") and edited.message.edited_at is not None
    assert unfurled.message.edited_at is None and unfurled.message.embeds
    await ann.deletes(said[0])
    assert (await bot.hear("raw_message_delete")).message_id == said[0].id
    moderator = fake.add_person("mo")
    assert channel.guild is not None
    channel.guild.grant(moderator, "manage_messages")
    await moderator.deletes(said[1], said[2])
    assert (await bot.hear("raw_bulk_message_delete")).message_ids == {said[1].id, said[2].id}
    assert channel.messages == []
    await ann.begins_typing(channel)
    assert (await bot.hear("raw_typing")).user_id == ann.id
    await (await there(bot, channel)).typing()
    assert [typing.user for typing in await channel.wait_for_typing()] == [fake.bot]


async def test_reactions_go_both_ways(fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot) -> None:
    sent = await (await there(bot, channel)).send("judge me")
    await sent.add_reaction("👀")
    message = channel.from_bot[0]
    await ann.reacts(message, "👍")
    added = [await bot.hear("raw_reaction_add") for _ in range(2)]
    assert [(str(one.emoji), one.user_id, one.message_author_id) for one in added] == [
        ("👀", fake.bot.id, fake.bot.id),
        ("👍", ann.id, fake.bot.id),
    ]
    await ann.unreacts(message, "👍")
    assert (await bot.hear("raw_reaction_remove")).user_id == ann.id
    await sent.remove_reaction("👀", bot.user)
    assert message.reactions == {}


async def test_pings_are_counted_as_allowed_mentions_permit(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    here, text = await there(bot, channel), f"{ann.mention} @everyone"
    await here.send(text)
    await (await here.send("…")).edit(content=text, allowed_mentions=discord.AllowedMentions.all())
    assert fake.all_pings() == []
    with pytest.raises(AssertionError, match=r"PATCH .* forbids no mentions"):
        fake.check_pings()
    await here.send(text, allowed_mentions=discord.AllowedMentions.all())
    assert [message.pings.users for message in fake.all_pings()] == [(ann,)]
    assert not fake.all_pings()[0].pings.everyone, "the bot may not mention everyone"
    with pytest.raises(AssertionError, match=r"(?s)Pings\(users=.*POST .* forbids no mentions"):
        fake.check_pings()
    question = await ann.says(channel, "hm", mentions_bot=True)
    await (await here.fetch_message(question.id)).reply("yes", mention_author=True)
    assert channel.from_bot[-1].pings.users == (ann,)


async def test_a_nonce_posts_once(channel: Channel, bot: SmallBot) -> None:
    here = await there(bot, channel)
    first, second = await here.send("once", nonce=5), await here.send("once", nonce=5)
    assert first.id == second.id
    assert len(channel.messages) == 1


async def test_threads_are_started_followed_and_closed(
    channel: Channel, ann: Person, guild: Guild, bot: SmallBot
) -> None:
    question = await ann.says(channel, "long story", mentions_bot=True)
    own = await (await bot.hear("message")).create_thread(name="story")
    assert own.id == question.id
    theirs = await ann.starts_thread(channel, "theirs")
    assert {(await bot.hear("thread_create")).id for _ in range(2)} == {own.id, theirs.id}
    await ann.says(theirs, "come in", mentions_bot=True)
    await (await bot.hear("message")).channel.send("in I am")
    await theirs.wait_for(lambda messages: [one for one in messages if one.text == "in I am"])
    theirs.archive(locked=True)
    await bot.hear("thread_update")
    assert await refused((await there(bot, theirs)).send("anyone?")) == 50083
    theirs.delete()
    assert (await bot.hear("raw_thread_delete")).thread_id == theirs.id


async def test_the_contract_names_what_differs(fake: FakeDiscord, channel: Channel, bot: SmallBot) -> None:
    if fake.contract is None:
        pytest.skip(REASON)
    route = discord.http.Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id)
    await bot.http.request(route, json={"content": "x", "tts": "perhaps"})
    with pytest.raises(AssertionError, match="tts"):
        fake.check_contract()
    fake.contract.violations.clear()
    assert fake.contract.checked > 0


def test_a_missing_contract_is_let_pass_on_a_machine_of_ones_own_and_not_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISCORD_OPENAPI", str(tmp_path / "none.json"))
    monkeypatch.delenv("CI", raising=False)
    assert load_contract() is None
    monkeypatch.setenv("CI", "true")
    with pytest.raises(FileNotFoundError, match="DISCORD_OPENAPI"):
        load_contract()


async def test_waiting_in_vain_shows_what_was_there(channel: Channel, ann: Person) -> None:
    await ann.says(channel, "only this")
    with pytest.raises(AssertionError, match="only this"):
        await channel.wait_for(lambda messages: len(messages) == 2, timeout=0.01)
