"""A Screen for tests, which look at what it shows."""

from __future__ import annotations

import asyncio

from bot.chat.reply_stream import ScreenGone


class ListScreen:
    """A screen on which a test looks at what is shown, and takes away or refuses."""

    def __init__(self):
        self.shown = {}
        self.calls = []
        self.refusal = None
        self.has_status = False
        self.waiting = []
        self._changed = asyncio.Event()

    @property
    def texts(self):
        return list(self.shown.values())

    async def post(self, text):
        await self._answer("post")
        message_id = f"m{len(self.calls)}"
        self._show(message_id, text)
        return message_id

    async def edit(self, message_id, text):
        await self._answer("edit", message_id)
        self._show(message_id, text)

    async def remove(self, message_id):
        await self._answer("remove", message_id)
        del self.shown[message_id]

    async def show_waiting(self, line):
        self.waiting.append(line)
        return self.has_status

    async def until(self, *texts):
        """Return once exactly these messages are shown."""
        while self.texts != list(texts):
            self._changed.clear()
            await self._changed.wait()

    async def _answer(self, call, message_id=None):
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        if message_id is not None and message_id not in self.shown:
            raise ScreenGone("The message was deleted.")

    def _show(self, message_id, text):
        self.shown[message_id] = text
        self._changed.set()
