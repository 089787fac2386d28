"""Below the chat: 🔄, ◀ 2/3 ▶ and "this one is better" for the reply at hand, and the form for a better answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from bot.chat.judging import CHOSEN, INVITATION, NOTED
from bot.web.playground_chat import Conversation
from bot.web.playground_judging import PlaygroundJudging
from bot.web.playground_view import pressed, said, session_of, shown
from core.errors import PersonasError


class AnswerRow:
    """The components, and what happens when they are used.

    `again` is a button whose event belongs to the page: a reply is written then. An event changes `parts`.
    """

    again: gr.Button
    parts: Sequence[Any] = ()

    def __init__(self, judging: PlaygroundJudging) -> None:
        self._judging = judging

    def build(self) -> None:
        """Make the components where the page is being built."""
        with gr.Row(visible=False, elem_id="answers") as row:
            self.again = gr.Button("🔄 Another answer", size="sm", elem_id="again")
            self._previous = gr.Button("◀", size="sm", elem_id="previous")
            self._place = gr.Markdown(elem_id="place")
            self._following = gr.Button("▶", size="sm", elem_id="following")
            self._best = gr.Button("✅ This one is better", size="sm", elem_id="best")
        self._better = gr.Textbox(
            label=INVITATION,
            placeholder="Write a better answer and press Enter",
            max_lines=8,
            visible=False,
            submit_btn="Keep it",
            elem_id="better",
        )
        self.parts = [row, self._previous, self._place, self._following, self._best, self._better]

    def wire(self, chatbot: gr.Chatbot, conversation: gr.State, **quiet: Any) -> None:
        changed = [chatbot, *self.parts]
        chatbot.like(self._judge, conversation, changed, **quiet)
        self._previous.click(self._go_back, conversation, changed, **quiet)
        self._following.click(self._go_on, conversation, changed, **quiet)
        self._best.click(self._pick, conversation, None, **quiet)
        self._better.submit(self._write_better, [conversation, self._better], self.parts, **quiet)

    def hidden(self) -> tuple[Any, ...]:
        """The parts while a reply is written."""
        return (gr.Row(visible=False), *[gr.skip()] * 4, gr.Textbox(visible=False))

    def unchanged(self) -> tuple[Any, ...]:
        return tuple(gr.skip() for _ in self.parts)

    async def due(self, conversation: Conversation) -> tuple[Any, ...]:
        """The parts as the reply at hand wants them; where the store cannot tell, they are left out."""
        try:
            buttons = await self._judging.buttons(conversation)
        except PersonasError:
            buttons = None
        if buttons is None:
            return self.hidden()
        index, count = buttons.index, buttons.count
        has_several = count > 1
        return (
            gr.Row(visible=True),
            gr.Button(visible=has_several, interactive=index > 0),
            gr.Markdown(f"{index + 1}/{count}", visible=has_several),
            gr.Button(visible=has_several, interactive=index < count - 1),
            gr.Button(visible=has_several and buttons.is_finished),
            gr.Textbox(visible=bool(conversation.disliked)),
        )

    async def thumbs(self, conversation: Conversation, request: gr.Request, *, is_last_new: bool = False) -> Any:
        """The chat with the thumbs that count now below its replies; below the last one none, if `is_last_new`."""
        try:
            given = await self._judging.thumbs(session_of(request), conversation)
        except PersonasError:
            return gr.skip()
        return gr.Chatbot(feedback_value=pressed(given[:-1] if is_last_new else given))

    async def _judge(self, conversation: Conversation, request: gr.Request, thumb: gr.LikeData) -> tuple[Any, ...]:
        """A thumb was pressed; pressing it again sends "", which takes it back."""
        label = thumb.liked if isinstance(thumb.liked, bool) else None
        place: object = thumb.index[0] if isinstance(thumb.index, tuple | list) and thumb.index else thumb.index
        index = place if isinstance(place, int) else -1
        try:
            await self._judging.judge(session_of(request), conversation, index, label)
        except PersonasError as error:
            gr.Warning(said(error))
            return gr.skip(), *self.unchanged()
        sentences = {True: "Your 👍 is kept.", False: "Your 👎 is kept.", None: "Your thumb is taken back."}
        gr.Info(sentences[label], duration=3)
        form = gr.Textbox("", visible=bool(conversation.disliked))
        return await self.thumbs(conversation, request), *self.unchanged()[:-1], form

    async def _go_back(self, conversation: Conversation, request: gr.Request) -> tuple[Any, ...]:
        return await self._turn(conversation, -1, request)

    async def _go_on(self, conversation: Conversation, request: gr.Request) -> tuple[Any, ...]:
        return await self._turn(conversation, 1, request)

    async def _turn(self, conversation: Conversation, step: int, request: gr.Request) -> tuple[Any, ...]:
        try:
            chat = await self._judging.turn(conversation, step)
            thumbs = pressed(await self._judging.thumbs(session_of(request), conversation))
        except PersonasError as error:
            gr.Warning(said(error))
            return gr.skip(), *self.unchanged()
        return gr.Chatbot(shown(chat), feedback_value=thumbs), *await self.due(conversation)

    async def _pick(self, conversation: Conversation, request: gr.Request) -> None:
        try:
            count = await self._judging.pick(session_of(request), conversation)
        except PersonasError as error:
            gr.Warning(said(error))
            return
        gr.Info(CHOSEN.format(count=count), duration=5)

    async def _write_better(self, conversation: Conversation, text: object, request: gr.Request) -> tuple[Any, ...]:
        """What is refused stays in the form."""
        try:
            await self._judging.write_better(session_of(request), conversation, text if isinstance(text, str) else "")
        except PersonasError as error:
            gr.Warning(said(error))
            return self.unchanged()
        gr.Info(NOTED, duration=5)
        return *self.unchanged()[:-1], gr.Textbox("", visible=False)
