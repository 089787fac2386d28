"""The bot on a Slack of one's own: the real service with the echo engine, the real client, and a fake server.

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
from bot.service.service import Service
from bot.slack_chat.client import SlackChat
from bot.slack_chat.names import message_key, split_key
from core.engine.echo_engine import EchoEngine
from core.errors import PersonasError
from core.generation import GenerationRequest
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.models import Exchange, Feedback
from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.people import Person
from tests.fakes.fake_slack.server import FakeSlack
from tests.fakes.fake_slack.views import View
from tests.running.patience import TIMEOUT_S
from tests.running.serving import echo_settings

LONG = " ".join(f"word{number}" for number in range(100, 700))  # as a question; its echo is longer than a message
NO_LIMITS = AccessLimits(per_user_per_minute=None, per_channel_per_minute=None)


@dataclass
class SlackRoom:
    """A workspace with a channel, somebody in it, and the bot. Replies are echoes: "[codebeard@1] good morning"."""

    fake: FakeSlack
    service: Service
    chat: SlackChat
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

    async def asks(self, text: str, *, who: Person | None = None, in_: Channel | Message | None = None) -> Message:
        """Somebody (ann) mentions the bot, in the channel or in a message's thread."""
        return await (who or self.ann).says(in_ or self.channel, text, mentions_bot=True)

    async def answer(self, question: Message) -> Message:
        """The first page of the finished answer to a question."""
        exchange = await self.ended(question)
        pages = await self.pages(exchange)
        assert pages, f"nothing shows {exchange.status} {exchange.error}\n{question.channel.describe()}"
        return pages[0]

    async def ask_and_answer(self, text: str, **more: Any) -> Message:
        return await self.answer(await self.asks(text, **more))

    async def exchanges(self, **columns: Any) -> list[Exchange]:
        """Every exchange whose columns have these values, the oldest first."""
        async with self.service.store.read() as session:
            query = select(Exchange).filter_by(**columns).order_by(Exchange.created_at)
            return list(await session.scalars(query))

    async def ended(self, question: Message, *, count: int = 1) -> Exchange:
        """The newest of `count` exchanges that answer a message, once all have ended and are shown to their end."""
        key = message_key(question.channel.id, question.ts)
        found: list[Exchange] = []

        async def have_ended() -> bool:
            nonlocal found
            found = await self.exchanges(question_id=key)
            for exchange in found:  # which may have begun while the others were looked up
                await self.chat.parts.chat.replies.ended(exchange.id)
            return len(found) >= count and all(JobStatus(exchange.status).is_final for exchange in found)

        await self.until(have_ended)
        return found[-1]

    async def pages(self, exchange: Exchange) -> list[Message]:
        """The messages that show an exchange, those that were deleted left out."""
        async with self.service.store.read() as session:
            deliveries = await exchanges.deliveries_of(session, exchange.id)
        found = []
        for delivery in deliveries:
            channel, ts = split_key(delivery.message_id)
            found.append(self.fake.world.channels[channel].find(ts))
        return [message for message in found if message is not None]

    async def uses(
        self, command: str, text: str = "", *, who: Person | None = None, in_: Channel | None = None
    ) -> Message:
        """The answer to a slash command, by default of ann in the channel."""
        interaction = await (who or self.ann).uses(command, text, in_=in_ or self.channel)
        return await interaction.wait_reply()

    async def types(self, text: str, in_: Message, *, who: Person | None = None) -> Message:
        """The bot's next public word after somebody typed something into a thread."""
        known = len(self.channel.from_bot)
        await (who or self.ann).says(in_, text)
        return await self.channel.wait_for(lambda _: (self.channel.from_bot[known:] or [None])[0])

    async def presses(self, message: Message, button: str, *, who: Person | None = None) -> None:
        """A button, once the bot has acknowledged it."""
        await (await (who or self.ann).presses(message, button)).wait_acknowledged()

    async def opens_form(self, message: Message, button: str, *, who: Person | None = None) -> View:
        """The form that a button opens."""
        return await (await (who or self.ann).presses(message, button)).wait_modal()

    async def thumbs(self) -> list[Feedback]:
        async with self.service.store.read() as session:
            return list(await session.scalars(select(Feedback)))

    async def marks(self) -> dict[str, bool]:
        """Who judges what was answered, by name, and how; each person has judged one answer at most."""
        given = {thumb.user_id.removeprefix("slack:"): thumb.label for thumb in await self.thumbs()}
        return {who.name: given[who.id] for who in self.fake.world.users.values() if who.id in given}

    async def marks_are(self, **expected: bool) -> None:
        """Once these and no others have judged."""

        async def are_so() -> bool:
            return await self.marks() == expected

        await self.until(are_so)

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Return once something is so that the fake does not see, in the store for instance."""
        async with asyncio.timeout(TIMEOUT_S):
            while not await is_so():  # noqa: ASYNC110 - the store tells nobody that it has changed
                await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(fake: FakeSlack, service: Service, *, limits: AccessLimits = NO_LIMITS) -> AsyncIterator[SlackChat]:
    """The bot, once it hears what is said at the fake."""
    chat = SlackChat(service, service.settings, limits=limits)
    known = fake.socket.connections
    running = asyncio.create_task(chat.run())
    try:
        await fake.socket.wait_connected(known + 1)
        yield chat
    finally:
        await chat.close()
        with suppress(PersonasError):
            await running


@asynccontextmanager
async def echo_service(
    folder: Path, fake: FakeSlack, *, engine: EchoEngine | None = None, is_started: bool = True, **settings: Any
) -> AsyncIterator[Service]:
    """The whole service with the echo engine, which knows where the fake is. A folder can be used again.

    One that is not started is as it is before its model loads.
    """
    tokens = {"slack_bot_token": fake.bot_token, "slack_app_token": fake.app_token, "slack_api_url": fake.url}
    service = await Service.open(echo_settings(folder, **{**tokens, **settings}), engine=engine or EchoEngine())
    try:
        if is_started:
            await service.start()
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def process_in(
    folder: Path,
    fake: FakeSlack,
    channel: Channel,
    ann: Person,
    *,
    limits: AccessLimits = NO_LIMITS,
    engine: EchoEngine | None = None,
    **settings: Any,
) -> AsyncIterator[SlackRoom]:
    """One run of the whole program on a Slack that is there before and after. A folder can be used again."""
    async with (
        echo_service(folder, fake, engine=engine, **settings) as service,
        connected(fake, service, limits=limits) as chat,
    ):
        yield SlackRoom(fake, service, chat, channel, ann)


@asynccontextmanager
async def slack_room(
    folder: Path,
    *,
    limits: AccessLimits = NO_LIMITS,
    engine: EchoEngine | None = None,
    **settings: Any,
) -> AsyncIterator[SlackRoom]:
    """A fake Slack with one channel, and the bot connected to it."""
    async with FakeSlack() as fake:
        channel = fake.add_channel("general")
        ann = fake.add_person("ann")
        async with process_in(folder, fake, channel, ann, limits=limits, engine=engine, **settings) as room:
            yield room
        fake.check_contract()


def listen(room: SlackRoom) -> list[list[tuple[str, str]]]:
    """What the model is asked from now on: the messages of every request, without the system prompt."""
    heard: list[list[tuple[str, str]]] = []
    submit = room.engine.submit

    def listening(request: GenerationRequest) -> Any:
        heard.append([(message.role, message.content) for message in request.messages if message.role != "system"])
        return submit(request)

    room.engine.submit = listening  # type: ignore[method-assign]
    return heard
