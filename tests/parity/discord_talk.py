"""The script's people on the fake Discord."""

from __future__ import annotations

from bot.chat.judging import KEPT
from bot.discord_chat.buttons import AGAIN, BEST, DOWN, UP
from core.store.consent import CONSENT_VERSION
from core.store.db import Store
from tests.discord.commands import admin, press, use
from tests.discord.rooms import DiscordRoom
from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.messages import Message


class DiscordTalk:
    """Implements `tests.parity.script.Talk` in a room whose commands are registered."""

    def __init__(self, room: DiscordRoom) -> None:
        self._room = room
        self._admin = admin(room)
        self._thread: Channel
        self._answer: Message
        self._thumb: str | None = None

    @property
    def store(self) -> Store:
        return self._room.service.store

    async def allow_text(self) -> None:
        await use(self._room, "settings", who=self._admin, keep_text=True)

    async def agree(self) -> None:
        card = await use(self._room, "consent")
        await press(self._room, card, f"data:give:{CONSENT_VERSION}")

    async def choose(self, persona: str) -> None:
        await use(self._room, "persona", name=persona)

    async def blend(self, spec: str) -> None:
        await use(self._room, "blend", spec=spec)

    async def ask(self, text: str) -> None:
        self._thread = await self._room.ann.starts_thread(self._room.channel, "a talk")
        await self._answered(await self._room.ann.says(self._thread, text, mentions_bot=True))

    async def follow_up(self, text: str) -> None:
        await self._answered(await self._room.ann.says(self._thread, text))

    async def _answered(self, question: Message) -> None:
        self._answer = await self._room.answer(question)
        await self._shows(UP)

    async def react(self, label: bool | None) -> None:
        if self._thumb is not None:
            await self._room.ann.unreacts(self._answer, self._thumb)
        self._thumb = None if label is None else UP if label else DOWN
        if self._thumb is not None:
            await self._room.ann.reacts(self._answer, self._thumb)

        async def counts() -> bool:
            return [thumb.label for thumb in await self._room.thumbs()] == ([] if label is None else [label])

        await self._room.until(counts)

    async def regenerate(self, count: int) -> None:
        await self._room.ann.presses(self._answer, AGAIN)
        await self._shows(f"{count}/{count}")
        await self._shows(BEST)

    async def pick(self) -> None:
        await (await self._room.ann.presses(self._answer, BEST)).wait_reply()

    async def write_better(self, text: str) -> None:
        invitation = await (await self._room.ann.presses(self._answer, DOWN)).wait_reply()
        form = await self._room.ann.presses(invitation, "Write a better answer")
        sent = await self._room.ann.submits(form, better=text)
        assert (await sent.wait_reply()).content == KEPT

    async def forget(self) -> None:
        warning = await use(self._room, "forget")
        await press(self._room, warning, "Erase everything")

    async def _shows(self, button: str) -> None:
        await self._thread.wait_for(lambda _: any(button in str(one) for one in self._answer.buttons))
