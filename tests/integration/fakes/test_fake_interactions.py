"""Stock discord.py answers interactions on the fake."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
import pytest

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.integration.fakes.conftest import Start
from tests.integration.fakes.small_bot import Buttons, SmallBot, refused, there
from tests.running.patience import TIMEOUT_S


async def test_a_command_thinks_answers_and_follows_up(channel: Channel, ann: Person, bot: SmallBot) -> None:
    used = await ann.uses("ask", channel, question="why", strength=0.5)
    answer = await used.wait_reply()
    assert (used.response, answer.text, answer.only_for) == (5, "why at 0.5", None)
    assert [version.content for version in answer.versions] == ["", "why at 0.5"]
    followed = await channel.world.wait_for(lambda: used.followups, TIMEOUT_S, used.transcript)
    assert followed[0].only_for is ann
    bob = Person(channel.world, "bob")
    channel.guild.member(bob) if channel.guild else None
    assert followed[0] in ann.sees(channel) and followed[0] not in bob.sees(channel)
    assert channel.messages == [answer]


async def test_autocompletion_groups_context_menus_and_who_may(
    fake: FakeDiscord, guild: Guild, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    assert await ann.types("persona", "name", "ze", channel) == [("Zen", "zen")]
    assert (await (await ann.uses("persona", channel, name="zen")).wait_reply()).text == "now zen"
    assert (await (await ann.uses("settings limit", channel, number=3)).wait_reply()).text == "limit 3"
    unseen = await ann.says(channel, "a secret")
    assert (await (await ann.uses_on(unseen, "Ask about this")).wait_reply()).text == "about: a secret"
    with pytest.raises(AssertionError, match="may not use"):
        await ann.uses("purge", channel, who=ann)
    guild.grant(ann, "manage_guild")
    assert (await (await ann.uses("purge", channel, who=ann)).wait_reply()).text == "forgot ann"
    with pytest.raises(AssertionError, match="not accepted"):
        await ann.uses("settings limit", channel, number=11)


async def test_buttons_selects_and_modals_survive_a_restart(
    fake: FakeDiscord, channel: Channel, ann: Person, start: Start
) -> None:
    bot = await start()
    await (await there(bot, channel)).send("judge", view=Buttons())
    message = channel.from_bot[0]
    assert (await (await ann.presses(message, "👍")).wait_reply()).text == "thumb 7"
    await bot.close()
    bot = await start()
    assert (await (await ann.presses(message, "Good")).wait_reply()).only_for is ann
    assert (await (await ann.picks(message, "Beard")).wait_reply()).text == "Beard"
    submitted = await ann.submits(await ann.presses(message, "bad"), Reason="no wit")
    assert (await submitted.wait_reply()).text == "because no wit"
    await ann.presses(message, "Again")
    await channel.wait_for(lambda messages: messages[0].text == "again")
    later = await ann.presses(message, "Later")
    await channel.wait_for(lambda messages: messages[0].text == "later")
    assert (later.response, later.replies) == (6, [])


async def test_a_user_installed_command_works_where_the_bot_is_not(
    fake: FakeDiscord, ann: Person, channel: Channel, bot: SmallBot
) -> None:
    elsewhere = fake.add_guild("elsewhere", with_bot=False).add_channel("talk")
    private = fake.dm_between(ann, fake.add_person("bob"))
    with pytest.raises(AssertionError, match="not installed here"):
        await ann.uses("anywhere", elsewhere)
    await ann.installs_the_app()
    for place in (elsewhere, private):
        assert (await (await ann.uses("anywhere", place)).wait_reply()).text == "here I am"
    many = await ann.uses("anywhere", elsewhere, more=6)
    failed = await asyncio.wait_for(bot.failed.get(), TIMEOUT_S)
    assert isinstance(failed, discord.HTTPException) and failed.code == 40094
    assert len(many.followups) == 5
    assert await refused(bot.fetch_channel(elsewhere.id)) == 50001


async def test_interactions_expire_when_late_and_after_a_quarter_of_an_hour(
    fake: FakeDiscord, channel: Channel, ann: Person, bot: SmallBot
) -> None:
    async def failure(*acts: Any) -> int:
        for act in acts:
            act()
        failed = await asyncio.wait_for(bot.failed.get(), TIMEOUT_S)
        assert isinstance(failed, discord.HTTPException)
        return failed.code

    def go_on() -> None:
        bot.heard["go_on"].put_nowait(None)

    await ann.uses("slow", channel)
    assert await failure(lambda: fake.pass_time(4), go_on) == 10062
    used = await ann.uses("slow", channel)
    go_on()
    await used.wait_acknowledged()
    assert await failure(lambda: fake.pass_time(16 * 60), go_on) == 50027
    assert used.original is not None and used.original.loading
