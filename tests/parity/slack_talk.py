"""The script's people on the fake Slack."""

from __future__ import annotations

from bot.chat.judging import KEPT
from core.store.db import Store
from tests.fakes.fake_slack.messages import Message
from tests.slack.rooms import SlackRoom


class SlackTalk:
    """Implements `tests.parity.script.Talk`."""

    def __init__(self, room: SlackRoom) -> None:
        self._room = room
        self._admin = room.fake.add_person("mod", is_admin=True)
        self._question: Message
        self._answer: Message
        self._thumb: str | None = None

    @property
    def store(self) -> Store:
        return self._room.service.store

    async def allow_text(self) -> None:
        await self._room.uses("settings", "keep_text:on", who=self._admin)

    async def agree(self) -> None:
        card = await self._room.uses("consent")
        before = len(card.versions)
        interaction = await self._room.ann.presses(card, "Yes, keep my words")
        await self._room.fake.wait_for(lambda: interaction.replies or len(card.versions) > before)

    async def choose(self, persona: str) -> None:
        await self._says_publicly("persona", persona)

    async def blend(self, spec: str) -> None:
        await self._says_publicly("persona", spec)

    async def _says_publicly(self, command: str, text: str) -> None:
        known = len(self._room.channel.from_bot)
        await self._room.ann.uses(command, text, in_=self._room.channel)
        await self._room.channel.wait_for(lambda _: len(self._room.channel.from_bot) > known)

    async def ask(self, text: str) -> None:
        self._question = await self._room.asks(text)
        await self._answered(self._question)

    async def follow_up(self, text: str) -> None:
        await self._answered(await self._room.ann.says(self._question, text))

    async def _answered(self, question: Message) -> None:
        self._answer = await self._room.answer(question)
        await self._shows("👍")

    async def react(self, label: bool | None) -> None:
        if self._thumb is not None:
            await self._room.ann.unreacts(self._answer, self._thumb)
        self._thumb = None if label is None else "+1" if label else "-1"
        if self._thumb is not None:
            await self._room.ann.reacts(self._answer, self._thumb)

        async def counts() -> bool:
            return [thumb.label for thumb in await self._room.thumbs()] == ([] if label is None else [label])

        await self._room.until(counts)

    async def regenerate(self, count: int) -> None:
        await self._room.ann.presses(self._answer, "🔄")
        await self._shows(f"{count}/{count}")
        await self._shows("✅")

    async def pick(self) -> None:
        await (await self._room.ann.presses(self._answer, "✅")).wait_reply()

    async def write_better(self, text: str) -> None:
        invitation = await (await self._room.ann.presses(self._answer, "👎")).wait_reply()
        form = await (await self._room.ann.presses(invitation, "Write a better answer")).wait_modal()
        sent = await self._room.ann.submits(form, better=text)
        assert KEPT in (await sent.wait_reply()).content

    async def forget(self) -> None:
        warning = await self._room.uses("forget")
        before = len(warning.versions)
        interaction = await self._room.ann.presses(warning, "Erase everything")
        await self._room.fake.wait_for(lambda: interaction.replies or len(warning.versions) > before)

    async def _shows(self, button: str) -> None:
        await self._room.channel.wait_for(lambda _: any(button in label for label in self._answer.buttons))
