"""Buttons under answers of several pages where discord.py has no channel at hand: DMs and archived threads."""

from __future__ import annotations

from pathlib import Path

from bot.discord_chat.buttons import AGAIN, DELETE
from core.engine.echo_engine import EchoEngine
from core.store import places
from tests.discord.rooms import LONG, DiscordRoom, listen, process_in
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.server import FakeDiscord

BLEND = "codebeard:0.55+zen:0.45"


async def two_pages(room: DiscordRoom, channel: Channel) -> tuple[Message, Message]:
    """Both pages of an answer to ann, once the second has its buttons."""
    first, second = await room.pages(await room.ended(await room.ann.says(channel, f"{LONG} ahoy", mentions_bot=True)))
    await channel.wait_for(lambda _: has_buttons(second))
    return first, second


def has_buttons(page: Message) -> bool:
    return "reply:delete:" in str(page.components)


async def test_an_answer_of_two_pages_in_a_direct_message_is_deleted_whole(wordy_room: DiscordRoom):
    dm = await wordy_room.ann.opens_dm()
    _, second = await two_pages(wordy_room, dm)
    await wordy_room.ann.presses(second, DELETE)
    await dm.wait_for(lambda _: dm.from_bot == [])


async def test_an_answer_of_two_pages_in_a_direct_message_is_written_anew_on_both(wordy_room: DiscordRoom):
    dm = await wordy_room.ann.opens_dm()
    first, second = await two_pages(wordy_room, dm)
    texts = [first.content, second.content]
    await wordy_room.ann.presses(second, AGAIN)
    await dm.wait_for(lambda _: "2/2" in str(second.components))
    assert dm.from_bot == [first, second]
    assert [first.content, second.content] == texts
    assert first.edits and not has_buttons(first)


async def test_a_webhooks_answer_of_two_pages_in_an_archived_thread_is_written_anew_and_deleted_whole(tmp_path: Path):
    async with FakeDiscord() as fake:
        guild = fake.add_guild("harbour")
        channel = guild.add_channel("general")
        ann = fake.add_person("ann")

        def process():
            engine = EchoEngine(max_context_tokens=4096)
            return process_in(tmp_path, fake, channel, ann, engine=engine, max_new_tokens=2000)

        thread = await ann.starts_thread(channel, "tales")
        async with process() as room:
            async with room.service.store.write() as session:
                await places.change(session, f"discord:guild:{guild.id}", source="discord", identity="webhook")
                # Two names before the words, as there is no header; together they are more than one message holds.
                await places.set_model(session, f"discord:guild:{guild.id}", source="discord", model=BLEND)
            first, second = await two_pages(room, thread)
            texts = [first.content, second.content]
        thread.archive()
        async with process():
            await ann.presses(second, AGAIN)
            await thread.wait_for(lambda _: "2/2" in str(second.components))
            assert thread.from_bot == [first, second]
            assert [first.content, second.content] == texts
            assert first.webhook is not None
            await ann.presses(second, DELETE)
            await thread.wait_for(lambda _: thread.from_bot == [])
        fake.check_contract()


async def test_another_answer_in_a_direct_message_after_a_restart_knows_what_was_said_before(tmp_path: Path):
    async with FakeDiscord() as fake:
        channel = fake.add_guild("harbour").add_channel("general")
        ann = fake.add_person("ann")
        dm = await ann.opens_dm()
        async with process_in(tmp_path, fake, channel, ann) as room:
            former = await room.answer(await ann.says(dm, "one"))
            answer = await room.answer(await ann.says(dm, "two"))
            [conversation] = {exchange.conversation_id for exchange in await room.exchanges()}
        async with process_in(tmp_path, fake, channel, ann) as room:
            heard = listen(room)
            await ann.presses(answer, AGAIN)
            await dm.wait_for(lambda _: "2/2" in str(answer.components))
            assert heard == [[("user", "one"), ("assistant", former.content.partition("\n")[2]), ("user", "two")]]
            assert {exchange.conversation_id for exchange in await room.exchanges()} == {conversation}
        fake.check_contract()
