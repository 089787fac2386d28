"""Words that a command took up go from every answer that holds them, also from those that were written later."""

from __future__ import annotations

import pytest

from bot.discord_chat.buttons import AGAIN
from core.store import consent, places
from core.store.models import Exchange
from tests.discord.commands import ABOUT, press, use
from tests.discord.rooms import DiscordRoom, connected
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person

pytestmark = pytest.mark.usefixtures("ready")


async def agree(room: DiscordRoom, *people: Person) -> None:
    """Let text be kept: these people agree, and so does the server."""
    async with room.service.store.write() as session:
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
        for person in people:
            await consent.give(session, f"discord:{person.id}", source="discord")


async def asks_about(room: DiscordRoom, message: Message, who: Person) -> Message:
    """The answer to what somebody asks about a message, once it has its buttons."""
    form = await who.uses_on(message, ABOUT)
    asked = await who.submits(form, **{"Your question": "Is it so?", "Who answers?": ["zen"]})
    return await finished(room, await asked.wait_reply())


async def finished(room: DiscordRoom, answer: Message) -> Message:
    await room.channel.wait_for(lambda _: "reply:delete:" in str(answer.components))
    return answer


async def again(room: DiscordRoom, answer: Message, who: Person) -> Exchange:
    """Another answer to the same question."""
    await who.presses(answer, AGAIN)
    await room.channel.wait_for(lambda _: "2/2" in str(answer.components))
    return (await room.exchanges())[-1]


async def is_kept(room: DiscordRoom, exchange: Exchange) -> bool:
    [found] = await room.exchanges(id=exchange.id)
    assert (found.prompt is None) == (found.reply is None)
    return found.prompt is not None


@pytest.mark.parametrize("leaver", ["ann", "ben", "cat"])
async def test_another_answer_after_a_restart_still_knows_whose_words_it_holds(room: DiscordRoom, leaver: str):
    people = {"ann": room.ann, "ben": room.fake.add_person("ben"), "cat": room.fake.add_person("cat")}
    await agree(room, *people.values())
    answer = await asks_about(room, await people["ben"].says(room.channel, "my tests fail at night"), room.ann)
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        second = await again(room, answer, people["cat"])
        assert await is_kept(room, second)
        await press(room, await use(room, "forget", who=people[leaver]), "Erase everything", people[leaver])
        assert not await is_kept(room, second)


async def test_another_answer_after_a_restart_goes_with_a_deleted_message(room: DiscordRoom):
    ben, cat = room.fake.add_person("ben"), room.fake.add_person("cat")
    await agree(room, room.ann, ben, cat)
    message = await ben.says(room.channel, "my tests fail at night")
    answer = await asks_about(room, message, room.ann)
    await room.chat.close()
    async with connected(room.fake, room.service) as room.chat:
        second = await again(room, answer, cat)
        assert await is_kept(room, second)
        await ben.deletes(message)

        async def is_forgotten() -> bool:
            return not await is_kept(room, second)

        await room.until(is_forgotten)


async def test_what_was_typed_into_a_command_is_kept_in_nobody_elses_answer_without_consent(room: DiscordRoom):
    cat = room.fake.add_person("cat")
    await agree(room, cat)
    asked = await room.ann.uses("ask", room.channel, question="psst")
    answer = await finished(room, await asked.wait_reply())
    assert not await is_kept(room, await again(room, answer, cat))
    reply = await cat.says(room.channel, "go on", reply_to=answer, mentions_bot=True)
    assert not await is_kept(room, await room.ended(reply))


async def test_an_answer_that_was_asked_about_takes_its_words_from_there_when_it_is_deleted(room: DiscordRoom):
    await agree(room, room.ann, moderator := room.fake.add_person("mod"))
    room.channel.guild.grant(moderator, "manage_messages")
    first = await room.ask_and_answer("something rude")
    await asks_about(room, first, room.ann)
    [_, about] = await room.exchanges()
    assert "something rude" in str(about.prompt)
    await moderator.deletes(first)

    async def is_forgotten() -> bool:
        return not await is_kept(room, about)

    await room.until(is_forgotten)
