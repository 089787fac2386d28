"""What follows a 👎: a form for a better answer, kept only where the person and the server agree."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select, text

from bot.chat import judging
from bot.chat.wording import STORE_IS_OUT
from bot.discord_chat.buttons import DOWN
from core.store import consent, places
from core.store.models import Correction
from tests.discord.rooms import DiscordRoom, process_in
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.server import FakeDiscord

WRITE = "Write a better answer"


async def agree(room: DiscordRoom, *, server: bool = True) -> None:
    async with room.service.store.write() as session:
        await consent.give(session, f"discord:{room.ann.id}", source="discord")
        await places.change(session, f"discord:guild:{room.channel.guild.id}", source="discord", is_text_kept=server)


async def answered(room: DiscordRoom, channel: Channel | None = None) -> Message:
    question = await room.ann.says(channel or room.channel, "good morning", mentions_bot=channel is None)
    answer = await room.answer(question)
    await question.channel.wait_for(
        lambda _: any(DOWN in button.get("emoji", {}).values() for button in answer.buttons)
    )
    return answer


async def invited(room: DiscordRoom, answer: Message) -> Message:
    """What ann reads after her 👎."""
    return await (await room.ann.presses(answer, DOWN)).wait_reply()


async def written(room: DiscordRoom) -> list[Correction]:
    async with room.service.store.write() as session:
        return list(await session.scalars(select(Correction)))


async def test_a_better_answer_is_kept_where_person_and_server_agree(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    assert judging.INVITATION in invitation.content
    assert invitation.only_for is room.ann
    opened = await room.ann.presses(invitation, WRITE)
    assert (await opened.wait_modal())["title"] == "A better answer"
    sent = await room.ann.submits(opened, better="  Good morning to you!  ")
    assert (await sent.wait_reply()).content == judging.KEPT
    [correction] = await written(room)
    [exchange] = await room.exchanges()
    assert (correction.exchange_id, correction.text) == (exchange.id, "Good morning to you!")
    assert [thumb.label for thumb in await room.thumbs()] == [False]


async def test_a_second_better_answer_takes_the_place_of_the_first(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    for words in ("first", "second"):
        sent = await room.ann.submits(await room.ann.presses(invitation, WRITE), better=words)
        await sent.wait_reply()
    assert [correction.text for correction in await written(room)] == ["second"]


async def test_without_consent_there_is_a_word_on_how_to_give_it_and_no_form(room: DiscordRoom):
    invitation = await invited(room, await answered(room))
    assert judging.NEEDED["person"] in invitation.content
    assert [button["label"] for button in invitation.buttons] == ["Take it back"]
    assert [thumb.label for thumb in await room.thumbs()] == [False]


async def test_where_the_server_keeps_no_text_there_is_no_form(room: DiscordRoom):
    await agree(room, server=False)
    assert judging.NEEDED["place"].format(place="server") in (await invited(room, await answered(room))).content


async def test_in_a_direct_message_the_persons_own_word_is_enough(room: DiscordRoom):
    await agree(room, server=False)
    dm = await room.ann.opens_dm()
    invitation = await invited(room, await answered(room, dm))
    assert judging.INVITATION in invitation.content


async def test_what_was_written_after_consent_was_withdrawn_is_not_kept(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    opened = await room.ann.presses(invitation, WRITE)
    async with room.service.store.write() as session:
        await consent.withdraw(session, f"discord:{room.ann.id}")
    sent = await room.ann.submits(opened, better="too late")
    assert (await sent.wait_reply()).content == judging.NEEDED["person"]
    assert await written(room) == []


async def test_a_form_of_blanks_is_sent_back_with_a_word(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    sent = await room.ann.submits(await room.ann.presses(invitation, WRITE), better="   ")
    assert "The better answer is empty" in (await sent.wait_reply()).content


async def test_the_form_opens_and_is_acknowledged_while_the_store_is_held(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    async with room.service.store.write():  # SQLite's only turn
        opened = await room.ann.presses(invitation, WRITE)
        await opened.wait_modal()
        sent = await room.ann.submits(opened, better="patience")
        await sent.wait_acknowledged()
    assert (await sent.wait_reply()).content == judging.KEPT


async def test_a_store_that_is_out_of_order_is_said_so(room: DiscordRoom):
    await agree(room)
    invitation = await invited(room, await answered(room))
    opened = await room.ann.presses(invitation, WRITE)
    async with room.service.store.write() as session:
        await session.execute(text("DROP TABLE corrections"))
    sent = await room.ann.submits(opened, better="lost?")
    assert (await sent.wait_reply()).content == STORE_IS_OUT


async def test_a_form_that_was_opened_before_a_restart_is_taken_in_after_it(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(tmp_path, fake, channel, ann) as room:
            await agree(room)
            invitation = await invited(room, await answered(room))
            opened = await ann.presses(invitation, WRITE)
            await opened.wait_modal()
        async with process_in(tmp_path, fake, channel, ann) as room:
            sent = await ann.submits(opened, better="worth the wait")
            assert (await sent.wait_reply()).content == judging.KEPT
            assert [correction.text for correction in await written(room)] == ["worth the wait"]
        fake.check_contract()
