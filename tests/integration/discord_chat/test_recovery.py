"""What a crash left on Discord, and what the next start makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from bot.chat import calls, mending
from bot.chat.recovery import CUT_OFF, MAY_BE_CUT_OFF
from core.store import consent, places
from core.store.models import Delivery, Exchange
from tests.discord.commands import registered
from tests.discord.rooms import LONG, DiscordRoom, connected, discord_room, listen
from tests.fakes.fake_discord.messages import LOADING, Message

CRASHED = "The program ended before this reply was finished; send the message again."


WHOLE = "**🏴 Captain Codebeard**\n[codebeard@1] one two three"


async def crash_before_the_end_is_noted(room: DiscordRoom, *shown: str) -> list[Message]:
    """Leave a reply that has succeeded in the ledger, with these texts and ⏹ on its messages."""
    question = await room.asks("one two three")
    exchange = await room.ended(question)
    pages = await room.pages(exchange)
    await room.until(lambda: are_under(pages, "reply:delete:"))
    await room.chat.close()
    for page, text in zip(pages, shown, strict=True):
        page.content = text
        button = page.components[0]["components"][0]
        page.components[0]["components"] = [{**button, "custom_id": f"reply:stop:{exchange.id}"}]
    async with room.service.store.write() as session:
        await session.execute(update(Delivery).values(is_final=False))
    return pages


async def are_under(pages: list[Message], button: str) -> bool:
    return button in str(pages[-1].components)


async def all_is_final(room: DiscordRoom) -> bool:
    async with room.service.store.write() as session:
        return all(await session.scalars(select(Delivery.is_final)))


async def crash_in_mid_reply(room: DiscordRoom, question: Message) -> list[Message]:
    """Leave the answer as `kill -9` does: failed in the ledger, its messages waiting for their end."""
    exchange = await room.ended(question)
    pages = await room.pages(exchange)
    await room.chat.close()
    async with room.service.store.write() as session:
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
    async with room.service.store.write() as session:
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
    async with room.service.store.write() as session:
        [row] = (await session.execute(select(Exchange.__table__))).mappings()
        [thinking] = (await session.execute(select(Delivery.__table__))).mappings()
    fault.release()
    await room.chat.parts.chat.replies.ended(row["id"])
    await room.chat.close()
    interaction.original.content, interaction.original.flags = "", LOADING
    async with room.service.store.write() as session:
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
        await room.channel.wait_for(lambda _: first.content == CRASHED and second.deleted)


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


async def test_a_kept_reply_that_was_not_shown_to_its_end_is_shown_whole(room: DiscordRoom):
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    [page] = await crash_before_the_end_is_noted(room, WHOLE.removesuffix(" two three"))
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content == WHOLE)
        await room.until(lambda: all_is_final(room))
    assert await are_under([page], "reply:delete:")
    assert not await are_under([page], "reply:stop:")


async def test_a_kept_reply_goes_on_in_pages_that_were_never_posted(wordy_room: DiscordRoom):
    room = wordy_room
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=True)
    first, second = await crash_in_mid_reply(room, await room.asks(LONG))
    texts = [first.content, second.content]
    async with room.service.store.write() as session:
        await session.execute(update(Exchange).values(status="succeeded", error=None))
        await session.execute(delete(Delivery).where(Delivery.position == 1))
    first.content = "**🏴 Captain Codebeard**\n…"
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda messages: messages[-1] is not second and messages[-1].content == texts[1])
        await room.until(lambda: all_is_final(room))
        [exchange] = await room.exchanges()
        assert [page.content for page in await room.pages(exchange)] == texts


async def mended_twice(room: DiscordRoom) -> list[str]:
    """What the channel's messages say after two more starts; the first ended before it could note what it did."""
    for _ in range(2):
        async with room.service.store.write() as session:
            await session.execute(update(Delivery).values(is_final=False))
        async with connected(room.fake, room.service) as room.chat:
            await room.until(lambda: all_is_final(room))
    assert await are_under(room.channel.from_bot, "reply:delete:")
    assert not any("reply:stop:" in str(page.components) for page in room.channel.from_bot)
    return [page.content for page in room.channel.from_bot]


async def test_words_that_are_not_kept_stand_with_a_warning_where_the_last_of_them_may_be_missing(room: DiscordRoom):
    [page] = await crash_before_the_end_is_noted(room, shown := WHOLE.removesuffix(" two three"))
    assert await mended_twice(room) == [f"{shown}\n-# {MAY_BE_CUT_OFF}"]
    assert page.content.splitlines()[1] == "[codebeard@1] one"


async def test_the_warning_gets_a_message_of_its_own_below_a_full_one(room: DiscordRoom):
    await crash_before_the_end_is_noted(room, full := "word " * 399 + "words")
    assert await mended_twice(room) == [full, f"-# {MAY_BE_CUT_OFF}"]
    [exchange] = await room.exchanges()
    assert await room.pages(exchange) == room.channel.from_bot


async def test_words_that_are_not_kept_are_left_alone_where_they_have_ended(room: DiscordRoom):
    [page] = await crash_before_the_end_is_noted(room, WHOLE)
    page.components = []  # the store was out of order, and with it the buttons of a reply that has ended
    assert await mended_twice(room) == [WHOLE]


async def test_a_waiting_line_whose_reply_is_not_kept_becomes_a_sentence(room: DiscordRoom):
    [page] = await crash_before_the_end_is_noted(room, "**🏴 Captain Codebeard**\n2nd in line, about 6 s")
    async with connected(room.fake, room.service) as room.chat:
        await room.channel.wait_for(lambda _: page.content == CUT_OFF)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr(calls, "RETRY_DELAYS_S", ())


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.parametrize("is_in_mid_reply", [True, False])
async def test_a_reply_whose_end_discord_was_out_of_reach_for_is_shown_whole_later(
    tmp_path: Path, is_in_mid_reply: bool
):
    async with discord_room(tmp_path) as room:
        room.gate.close()
        await room.asks("one two three")
        room.gate.let_through(2)
        await room.channel.wait_for(lambda messages: messages[-1].content.endswith("one"))
        [exchange] = await room.exchanges()
        fault = room.fake.faults.cut("PATCH", "/channels/*/messages/*", times=1000)
        if is_in_mid_reply:
            room.gate.let_through(1)
            await fault.struck.wait()
        room.gate.open()
        await room.chat.parts.chat.replies.ended(exchange.id)
        assert not await all_is_final(room)
        room.fake.faults.clear()
        [page] = room.channel.from_bot
        await room.channel.wait_for(lambda _: page.content == WHOLE)
        await room.until(lambda: all_is_final(room))
        assert await are_under([page], "reply:delete:")
        heard = listen(room)
        await room.answer(await room.asks("go on", reply_to=page))
        assert heard[-1][1] == ("assistant", "[codebeard@1] one two three")


async def left_behind(room: DiscordRoom) -> Message:
    """A finished reply whose last edit is missing."""
    page = await room.ask_and_answer("one two three")
    await room.until(lambda: are_under([page], "reply:delete:"))
    page.content = WHOLE.removesuffix(" two three")
    async with room.service.store.write() as session:
        await session.execute(update(Delivery).values(is_final=False))
    return page


async def test_a_new_connection_mends_what_the_former_one_left(room: DiscordRoom):
    left = await left_behind(room)
    former = room.chat.bot
    await room.fake.gateway.drop(4014)
    await room.channel.wait_for(lambda _: left.content == WHOLE)
    assert room.chat.bot is not former


async def test_what_is_mended_while_replies_are_running_leaves_them_alone(room: DiscordRoom):
    left = await left_behind(room)
    room.gate.close()
    await room.asks("four five")
    room.gate.let_through(2)
    await room.channel.wait_for(lambda messages: messages[-1].content.endswith("] four"))
    running = room.channel.from_bot[-1]
    await room.chat.parts.mending.look()
    mending = asyncio.create_task(room.chat.parts.mending.keep_mending())
    await room.channel.wait_for(lambda _: left.content == WHOLE)
    mending.cancel()
    assert running.content.endswith("] four")
    room.gate.open()
    await room.channel.wait_for(lambda _: running.content.endswith("] four five"))
