"""What a crash left on Discord, and what the next start makes of it."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from core.store.models import Delivery, Exchange
from tests.discord_commands import registered
from tests.discord_rooms import LONG, DiscordRoom, connected
from tests.fakes.fake_discord.messages import LOADING, Message

CRASHED = "The program ended before this reply was finished; send the message again."


async def crash_in_mid_reply(room: DiscordRoom, question: Message) -> list[Message]:
    """Leave the answer as `kill -9` does: failed in the ledger, its messages waiting for their end."""
    exchange = await room.ended(question)
    pages = await room.pages(exchange)
    await room.chat.close()
    async with room.service.store.session() as session:
        await session.execute(update(Exchange).where(Exchange.id == exchange.id).values(status="failed", error=CRASHED))
        await session.execute(update(Delivery).where(Delivery.exchange_id == exchange.id).values(is_final=False))
    return pages


async def test_a_reply_that_a_crash_cut_off_becomes_a_sentence(room: DiscordRoom):
    [page] = await crash_in_mid_reply(room, await room.asks("one two three"))
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content == CRASHED)
    assert "⏹️" not in str(page.components)


async def test_a_message_that_was_posted_but_not_noted_before_the_crash_is_found_by_its_buttons(room: DiscordRoom):
    question = await room.asks("one two three")
    [page] = await crash_in_mid_reply(room, question)
    async with room.service.store.session() as session:
        await session.execute(delete(Delivery))
    await room.ann.says(room.channel, "is it still there?")
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content == CRASHED)
        await room.ask_and_answer("two")
    [answer, _] = room.channel.from_bot
    assert answer is page


async def test_a_command_that_was_thinking_when_the_program_ended_becomes_a_sentence(room: DiscordRoom):
    await registered(room)
    fault = room.fake.faults.hang("PATCH", "/webhooks/*/*/messages/@original")
    interaction = await room.ann.uses("ask", room.channel, question="one two three")
    await fault.struck.wait()
    async with room.service.store.session() as session:
        [row] = (await session.execute(select(Exchange.__table__))).mappings()
        [thinking] = (await session.execute(select(Delivery.__table__))).mappings()
    fault.release()
    await room.chat.talking.ended(row["id"])
    await room.chat.close()
    interaction.original.content, interaction.original.flags = "", LOADING
    async with room.service.store.session() as session:
        await session.execute(delete(Delivery))
        await session.execute(insert(Delivery).values(**thinking))
        await session.execute(update(Exchange).values(status="failed", error=CRASHED))
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: interaction.original.content == CRASHED)
        assert not interaction.original.loading
        await room.ask_and_answer("two")
    [exchange] = await room.exchanges(id=row["id"])
    assert await room.pages(exchange) == [interaction.original]


async def test_the_further_pages_of_a_reply_that_was_cut_off_go(wordy_room: DiscordRoom):
    room = wordy_room
    first, second = await crash_in_mid_reply(room, await room.asks(LONG))
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: first.content == CRASHED)
    assert second.deleted


async def test_what_is_gone_or_forbidden_does_not_stop_the_start(room: DiscordRoom):
    other = room.channel.guild.add_channel("other")
    await crash_in_mid_reply(room, await room.ann.says(other, "hello", mentions_bot=True))
    other.delete()
    async with connected(room.fake, room.service) as room.chat:
        answer = await room.ask_and_answer("still there")
    assert answer.content.endswith("still there")


async def test_what_is_mended_once_is_left_alone_afterwards(room: DiscordRoom):
    [page] = await crash_in_mid_reply(room, await room.asks("one"))
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content == CRASHED)
        await room.ask_and_answer("two")
    versions = len(page.versions)
    async with connected(room.fake, room.service) as room.chat:
        await room.ask_and_answer("three")
    assert len(page.versions) == versions


async def test_messages_missed_while_the_bot_was_away_stay_unanswered(room: DiscordRoom):
    await room.chat.close()
    await room.asks("anybody there")
    async with connected(room.fake, room.service) as room.chat:
        await room.ask_and_answer("now you are")
    assert len(await room.exchanges()) == 1
