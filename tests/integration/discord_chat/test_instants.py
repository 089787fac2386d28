"""What happens between two steps of the bot: no instant leaves text that nobody agreed to, or a question unanswered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.store import consent, data_rights, places
from core.store.db import Store
from core.store.models import Delivery, Exchange
from tests.discord.commands import registered
from tests.discord.rooms import DiscordRoom

HEADER = "**🏴 Captain Codebeard**\n"
TRANSACTIONS = range(1, 10)  # of a question, as far as its answer
Act = Callable[[AsyncSession], Awaitable[object]]
Door = Callable[[Store], AbstractAsyncContextManager[AsyncSession]]


@contextmanager
def between_transactions(number: int, act: Act, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[asyncio.Task[None]]]:
    """Let `act` be the store's next transaction after the bot's `number`th one, whoever else waits for the database.

    A turn to write goes to whoever has waited longest, so it is asked for while the other one has it.
    """
    write, test = Store.write, asyncio.current_task()
    count = 0
    acting: list[asyncio.Task[None]] = []

    async def go(store: Store) -> None:
        async with write(store) as session:
            await act(session)

    def counted(door: Door) -> Door:
        @asynccontextmanager
        async def opened(self: Store) -> AsyncIterator[AsyncSession]:
            nonlocal count
            async with door(self) as session:
                yield session
                count += asyncio.current_task() is not test
                if count == number and not acting:
                    acting.append(asyncio.create_task(go(self)))

        return opened

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", counted(Store.read))
        patch.setattr(Store, "write", counted(write))
        yield acting


async def agree(room: DiscordRoom) -> None:
    """Let text be kept: ann agrees, and so does her server."""
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, server(room), source="discord", is_text_kept=True)


def server(room: DiscordRoom) -> str:
    assert room.channel.guild is not None
    return f"discord:guild:{room.channel.guild.id}"


def withdrawal(room: DiscordRoom) -> Act:
    return lambda session: consent.withdraw(session, f"discord:{room.ann.id}")


def prohibition(room: DiscordRoom) -> Act:
    async def prohibit(session: AsyncSession) -> None:
        await places.change(session, server(room), source="discord", is_text_kept=False)
        await data_rights.stop_keeping(session, server(room))

    return prohibit


@pytest.mark.parametrize("ending", [withdrawal, prohibition])
async def test_text_is_gone_whenever_while_it_is_answered_somebody_stops_its_being_kept(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch, ending: Callable[[DiscordRoom], Act]
):
    await agree(room)
    await room.ask_and_answer("this is kept")
    [kept] = await room.exchanges()
    assert kept.prompt is not None
    came_in_between = 0
    for number in TRANSACTIONS:
        await agree(room)
        with between_transactions(number, ending(room), monkeypatch) as acting:
            await room.ask_and_answer(f"a secret before transaction {number}")
        await asyncio.gather(*acting)
        came_in_between += len(acting)
        left = [exchange for exchange in await room.exchanges() if exchange.prompt or exchange.reply]
        assert not acting or not left, number
    assert came_in_between >= 4  # as many as a reply takes


async def test_a_question_edited_before_it_is_in_the_ledger_is_answered_as_it_stands(room: DiscordRoom):
    async with room.service.store.write():  # so it cannot be written down yet
        question = await room.asks("what is a mutx")
        edited = asyncio.create_task(room.chat.bot.wait_for("raw_message_edit"))
        await asyncio.sleep(0)
        await room.ann.edits(question, f"{room.fake.bot.mention} what is a mutex")
        await edited
    await room.ended(question, count=2)
    assert [answer.content for answer in room.channel.from_bot] == [HEADER + "[codebeard@1] what is a mutex"]


async def test_a_question_deleted_before_it_is_in_the_ledger_leaves_neither_answer_nor_words(room: DiscordRoom):
    await agree(room)
    async with room.service.store.write():
        question = await room.asks("forget that I asked")
        deleted = asyncio.create_task(room.chat.bot.wait_for("raw_message_delete"))
        await asyncio.sleep(0)
        await room.ann.deletes(question)
        await deleted
    await room.ended(question)

    async def is_forgotten() -> bool:
        [exchange] = await room.exchanges()
        return exchange.prompt is None and exchange.reply is None

    await room.until(is_forgotten)
    assert room.channel.from_bot == []


async def test_a_command_is_never_in_the_ledger_without_the_way_to_end_its_thinking(
    room: DiscordRoom, monkeypatch: pytest.MonkeyPatch
):
    await registered(room)
    orphans: list[str] = []

    async def look(session: AsyncSession) -> None:
        shown = select(Delivery.exchange_id).where(Delivery.exchange_id == Exchange.id).exists()
        orphans.extend(await session.scalars(select(Exchange.id).where(~shown)))

    for number in range(1, 6):
        with between_transactions(number, look, monkeypatch) as acting:
            interaction = await room.ann.uses("ask", room.channel, question="one two three")
            answer = await interaction.wait_reply()
            await room.channel.wait_for(lambda _, answer=answer: answer.content.endswith("three"))

            async def has_begun(acting: list[asyncio.Task[None]] = acting) -> bool:
                return bool(acting)

            await room.until(has_begun)
        await asyncio.gather(*acting)
    assert len(await room.exchanges()) == 5
    assert not orphans


@pytest.mark.parametrize("private", [False, True])
async def test_links_in_the_answer_to_a_command_are_not_unfolded(room: DiscordRoom, private: bool):
    await registered(room)
    interaction = await room.ann.uses("ask", room.channel, question="see https://example.org", private=private)
    answer = await interaction.wait_reply()
    await room.channel.wait_for(lambda _: answer.content.endswith("https://example.org"))
    assert answer.flags & 1 << 2
    assert answer.ephemeral is private
    assert not answer.loading
