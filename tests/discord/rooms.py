"""The bot on a Discord of one's own: the real service with the echo engine, the real client, and a fake server.

Everything runs on the test's own event loop, so a test can hold a reply at the engine's gate and look around.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bot.chat.access import AccessLimits
from bot.discord_chat.client import DiscordChat
from bot.discord_chat.names import message_key
from bot.service.service import Service
from core.engine.echo_engine import EchoEngine
from core.errors import PersonasError
from core.generation import GenerationRequest
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.models import Exchange, Feedback
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.people import Person
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_settings

LONG = " ".join(f"word{number}" for number in range(100, 346))  # as a question; its echo is longer than a message
NO_LIMITS = AccessLimits(per_user_per_minute=None, per_channel_per_minute=None)


@dataclass
class DiscordRoom:
    """A server with a channel, somebody in it, and the bot. Replies are echoes: "[codebeard@1] good morning"."""

    fake: FakeDiscord
    service: Service
    chat: DiscordChat
    channel: Channel
    ann: Person

    @property
    def engine(self) -> EchoEngine:
        assert isinstance(self.service.engine, EchoEngine)
        return self.service.engine

    @property
    def gate(self) -> Any:
        """Holds replies between two words."""
        return self.engine.gate

    async def asks(self, text: str, *, who: Person | None = None, **more: Any) -> Message:
        """Somebody (ann) mentions the bot in the channel."""
        return await (who or self.ann).says(self.channel, text, mentions_bot=True, **more)

    async def answer(self, question: Message) -> Message:
        """The first page of the finished answer to a question."""
        exchange = await self.ended(question)
        return (await self.pages(exchange))[0]

    async def ask_and_answer(self, text: str, **more: Any) -> Message:
        return await self.answer(await self.asks(text, **more))

    async def exchanges(self, **columns: Any) -> list[Exchange]:
        """Every exchange whose columns have these values, the oldest first."""
        async with self.service.store.read() as session:
            query = select(Exchange).filter_by(**columns).order_by(Exchange.created_at)
            return list(await session.scalars(query))

    async def ended(self, question: Message, *, count: int = 1) -> Exchange:
        """The newest of `count` exchanges that answer a message, once all have ended and are shown to their end."""
        key = message_key(question.channel.id, question.id)
        found: list[Exchange] = []

        async def have_ended() -> bool:
            nonlocal found
            found = await self.exchanges(question_id=key)
            for exchange in found:  # which may have begun while the others were looked up
                await self.chat.parts.chat.replies.ended(exchange.id)
            return len(found) >= count and all(JobStatus(exchange.status).is_final for exchange in found)

        await self.until(have_ended)  # a reply that nobody sees is settled without a word to Discord
        return found[-1]

    async def pages(self, exchange: Exchange) -> list[Message]:
        """The messages that show an exchange."""
        async with self.service.store.read() as session:
            deliveries = await exchanges.deliveries_of(session, exchange.id)
        return [self.fake.world.messages[int(delivery.message_id.partition("/")[2])] for delivery in deliveries]

    async def thumbs(self) -> list[Feedback]:
        async with self.service.store.read() as session:
            return list(await session.scalars(select(Feedback)))

    async def marks(self) -> dict[Person, bool]:
        """Who judges what was answered, and how; each person has judged one answer at most."""
        given = {int(thumb.user_id.removeprefix("discord:")): thumb.label for thumb in await self.thumbs()}
        return {who: given[who.id] for who in self.fake.world.users.values() if who.id in given}

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Return once something is so that the fake does not see, in the store for instance."""
        async with asyncio.timeout(TIMEOUT_S):
            while not await is_so():  # noqa: ASYNC110 - the store tells nobody that it has changed
                await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(
    fake: FakeDiscord, service: Service, *, limits: AccessLimits = NO_LIMITS
) -> AsyncIterator[DiscordChat]:
    """The bot, once it hears what is said at the fake."""
    chat = DiscordChat(service, service.settings, limits=limits)
    running = asyncio.create_task(chat.run())
    try:
        await fake.gateway.wait_connected()
        yield chat
    finally:
        await chat.close()
        with suppress(PersonasError):
            await running


@asynccontextmanager
async def echo_service(
    folder: Path, fake: FakeDiscord, *, engine: EchoEngine | None = None, is_started: bool = True, **settings: Any
) -> AsyncIterator[Service]:
    """The whole service with the echo engine, which knows where the fake is. A folder can be used again.

    One that is not started is as it is before its model loads.
    """
    options = {"discord_token": fake.token, "discord_api_url": fake.url, **settings}
    service = await Service.open(echo_settings(folder, **options), engine=engine or EchoEngine())
    try:
        if is_started:
            await service.start()
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def process_in(
    folder: Path,
    fake: FakeDiscord,
    channel: Channel,
    ann: Person,
    *,
    limits: AccessLimits = NO_LIMITS,
    engine: EchoEngine | None = None,
    **settings: Any,
) -> AsyncIterator[DiscordRoom]:
    """One run of the whole program on a Discord that is there before and after. A folder can be used again."""
    async with (
        echo_service(folder, fake, engine=engine, **settings) as service,
        connected(fake, service, limits=limits) as chat,
    ):
        yield DiscordRoom(fake, service, chat, channel, ann)


@asynccontextmanager
async def discord_room(
    folder: Path,
    *,
    message_content: bool = False,
    limits: AccessLimits = NO_LIMITS,
    engine: EchoEngine | None = None,
    **settings: Any,
) -> AsyncIterator[DiscordRoom]:
    """A fake Discord with one server and channel, and the bot connected to it."""
    async with FakeDiscord(message_content=message_content) as fake:
        guild = fake.add_guild("harbour")
        channel = guild.add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(folder, fake, channel, ann, limits=limits, engine=engine, **settings) as room:
            yield room
        fake.check_contract()


def listen(room: DiscordRoom) -> list[list[tuple[str, str]]]:
    """What the model is asked from now on: the messages of every request, without the system prompt."""
    heard: list[list[tuple[str, str]]] = []
    submit = room.engine.submit

    def listening(request: GenerationRequest) -> Any:
        heard.append([(message.role, message.content) for message in request.messages if message.role != "system"])
        return submit(request)

    room.engine.submit = listening  # type: ignore[method-assign]
    return heard
