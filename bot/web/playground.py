"""The playground page at "/": pick a persona, chat, judge replies. Built with Gradio; the chat itself is elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount

from bot.chat.personas import describe
from bot.web.api_errors import sentence_of
from bot.web.gradio_import import gr, without_apps
from bot.web.guards import VERSIONS_PATH
from bot.web.look import CSS, HEAD, THEME
from bot.web.metrics import Metrics
from bot.web.pace import Pace
from bot.web.page_sessions import PageSessions
from bot.web.playground_answers import AnswerRow
from bot.web.playground_chat import Chat, Conversation, PlaygroundChats, sendable
from bot.web.playground_door import PlaygroundDoor
from bot.web.playground_duel import DuelPanel, PlaygroundDuels
from bot.web.playground_judging import PlaygroundJudging
from bot.web.playground_queue import PlaygroundQueue
from bot.web.playground_text import verbatim
from bot.web.playground_view import said, session_of, shown
from bot.web.service_view import Service
from core.blends import BASE, Blend, parse_blend
from core.default_model import DEFAULT_MODEL
from core.errors import InvalidInput, PersonasError

LOADING_POLL_S = 2.0
BLEND = "a blend"  # the picker's last choice; no slug holds a blank
SMALL_MODEL_NOTE = (
    "SmolLM2 is a small model: it chats about anything and is often wrong. For a larger one, set"
    " `PERSONAS_BASE_MODEL=Qwen/Qwen3-4B-Instruct-2507` (say)."
)
EXAMPLES = ("Who are you?", "My cat wakes me at 5, any advice?", "What is recursion?", "Cheer me up, my code broke")


def mount_playground(app: FastAPI, service: Service, metrics: Metrics) -> PlaygroundQueue:
    """Serve the page at "/" of `app`, below every route that is there already. The queue of its events tells how it is.

    The queue begins and ends with the app's lifespan.
    """
    with without_apps():
        page = Playground(service, metrics).page()
    queue = page._queue = PlaygroundQueue(page)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        max_file_size=1,  # byte: the page takes no files
        show_error=False,  # Python's own words are no sentences
        theme=THEME,
        css=CSS,
        head=HEAD,
    )
    mounted = app.router.routes[-1]
    if not isinstance(mounted, Mount):
        raise TypeError("Gradio mounts its app in another way now; nothing stands in front of it.")
    sessions = PageSessions(is_busy=queue.is_busy, forget=queue.forget)
    mounted.app = PlaygroundDoor(mounted.app, sessions=sessions, event_ids=page.fns.keys())
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def until_the_queue_ended(app: FastAPI) -> AsyncIterator[Any]:
        async with lifespan(app) as state:
            try:
                yield state
            finally:
                await queue.end()

    app.router.lifespan_context = until_the_queue_ended
    return queue


class Playground:
    """Gradio's components and what happens when they are used."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service = service
        pace = Pace(service.settings.user_messages_per_minute)
        self._chats = PlaygroundChats(service, metrics, pace)
        self._duels = DuelPanel(PlaygroundDuels(service, metrics, pace))
        self._answers = AnswerRow(PlaygroundJudging(service))

    def page(self) -> gr.Blocks:
        """The page; Gradio gives every browser session its own copy of the conversation, and a hash to name it by."""
        first = parse_blend(self._service.default_persona)
        page = gr.Blocks(title="Plug-and-Play Personas", analytics_enabled=False, fill_height=True)
        with page:
            conversation = gr.State(Conversation())
            with gr.Column(elem_id="page"):
                gr.Markdown("# 🎭 Plug-and-Play Personas", elem_id="title")
                if self._service.settings.base_model == DEFAULT_MODEL:
                    gr.Markdown(SMALL_MODEL_NOTE, elem_id="model-note")
                picker = gr.Radio(
                    self._choices(), value=str(first), label="Who answers?", show_label=False, elem_id="picker"
                )
                blend = gr.Textbox(
                    value=self._example_blend(),
                    label="Blend: personas and their weights",
                    info="Press Enter to use it. A weight lies above 0 and up to 2.",
                    visible=False,
                    elem_id="blend",
                )
                about = gr.Markdown(self._about(first), elem_id="about")
                chatbot = gr.Chatbot(
                    label="Chat",
                    show_label=False,
                    elem_id="chat",
                    height=None,
                    placeholder=self._greeting(first),
                    examples=[{"text": text} for text in EXAMPLES],
                    buttons=["copy"],
                    allow_tags=False,
                    latex_delimiters=[],  # "$$" is two dollars
                    group_consecutive_messages=False,
                    layout="bubble",
                )
                self._answers.build()
                message = gr.Textbox(
                    placeholder="Write a message and press Enter",
                    label="Message",
                    show_label=False,
                    max_lines=8,
                    submit_btn="Send",
                    autofocus=True,
                    elem_id="message",
                )
                status = gr.Markdown(elem_id="status")
                self._duels.build()
                log_out = " · [Log out](/logout)" if self._service.settings.api_key is not None else ""
                gr.Markdown(f"[Versions]({VERSIONS_PATH}){log_out}", elem_id="links")
                clock = gr.Timer(LOADING_POLL_S)
            self._wire(page, conversation, picker, blend, about, chatbot, message, status, clock)
        page.api_open = False
        return page

    def _wire(self, page: gr.Blocks, *parts: Any) -> None:
        conversation, picker, blend, about, chatbot, message, status, clock = parts
        choice = [picker, blend]
        chosen = [blend, about, chatbot, status]
        answered = [chatbot, *self._answers.parts]
        spoken = [chatbot, message, *self._answers.parts]
        # Not preprocessed, what was sent is seen as it is, and what is wrong with it is said in our own words.
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
        ordered = quiet | {"concurrency_id": "chat"}  # a message sent after clearing starts after it
        page.load(self._refresh, choice, status, **quiet)
        clock.tick(self._await_model, choice, [status, clock], **quiet)
        picker.change(self._choose, choice, chosen, **quiet)
        blend.submit(self._choose, choice, chosen, **quiet)
        for sent in (
            message.submit(self._send, [message, conversation, *choice], spoken, **ordered),
            chatbot.example_select(self._send_example, [conversation, *choice], spoken, **ordered),
            self._answers.again.click(self._send_again, conversation, spoken, **ordered),
        ):  # the page takes no message before the last one's event has ended, so only then it offers to send one
            sent.then(self._await_message, [conversation, *choice], [message, status, *answered], **quiet)
        message.stop(self._stop, None, None, **quiet)
        chatbot.clear(self._clear, conversation, answered, **ordered)
        self._answers.wire(chatbot, conversation, **quiet)
        self._duels.wire(picker, **quiet)
        page.unload(self._leave)

    async def _refresh(self, choice: object, blend: object) -> str:
        if self._service.model_problem is not None:
            return verbatim(self._service.model_problem)
        try:
            return await self._chats.describe(parse_blend(_spec(choice, blend)))
        except PersonasError as error:
            return verbatim(sendable(sentence_of(error)))

    async def _await_model(self, choice: object, blend: object) -> tuple[Any, ...]:
        """Look again until the model is loaded, then stop the clock."""
        if self._service.model_problem is not None:
            return gr.skip(), gr.skip()
        return await self._refresh(choice, blend), gr.Timer(active=False)

    async def _choose(self, choice: object, blend: object, request: gr.Request) -> tuple[Any, ...]:
        """The picker or the blend changed: the chat stays, the conversation is bound to the new choice."""
        try:
            chosen = await self._chats.choose(session_of(request), _spec(choice, blend))
        except PersonasError as error:
            gr.Warning(said(error))
            return gr.Textbox(visible=choice == BLEND), gr.skip(), gr.skip(), gr.skip()
        return (
            gr.Textbox(visible=choice == BLEND),
            self._about(chosen),
            gr.Chatbot(placeholder=self._greeting(chosen)),
            await self._chats.describe(chosen),
        )

    async def _send_example(
        self, conversation: Conversation, choice: object, blend: object, request: gr.Request, picked: gr.SelectData
    ) -> AsyncGenerator[tuple[Any, ...]]:
        text = picked.value.get("text") if isinstance(picked.value, dict) else None
        async for update in self._send(text, conversation, choice, blend, request):
            yield update

    async def _send(
        self, text: object, conversation: Conversation, choice: object, blend: object, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Write one reply. What fails is said in a toast."""

        async def chats() -> AsyncGenerator[Chat]:
            question, spec = _text("The message", text), _spec(choice, blend)
            async for chat in self._chats.send(session_of(request), conversation, question, spec):
                yield chat

        async for update in self._grow(chats(), gr.Textbox("", submit_btn=False, stop_btn="Stop")):
            yield update

    async def _send_again(self, conversation: Conversation, request: gr.Request) -> AsyncGenerator[tuple[Any, ...]]:
        """Write another answer in the last one's place, which has no thumb yet."""
        unjudged = await self._answers.thumbs(conversation, request, is_last_new=True)
        chats = self._chats.again(session_of(request), conversation)
        async for update in self._grow(chats, gr.Textbox(submit_btn=False, stop_btn="Stop"), unjudged):
            yield update

    async def _grow(self, chats: AsyncGenerator[Chat], box: Any, first: Any = None) -> AsyncGenerator[tuple[Any, ...]]:
        """The page while a reply is written; `first` is how the chat looks before."""
        still = self._answers.unchanged()
        yield first or gr.skip(), box, *self._answers.hidden()
        try:
            async for turns in chats:
                yield shown(turns), gr.skip(), *still
        except PersonasError as error:
            gr.Warning(said(error))
        yield gr.skip(), gr.skip(), *still  # Gradio repeats the last update when it ends, which may be after Clear

    async def _await_message(
        self, conversation: Conversation, choice: object, blend: object, request: gr.Request
    ) -> tuple[Any, ...]:
        """The reply has ended. A question without an answer goes back to the box; else what is typed there stays."""
        draft = conversation.take_draft()
        buttons: dict[str, Any] = {"submit_btn": "Send", "stop_btn": False}
        box = gr.Textbox(draft, **buttons) if draft else gr.Textbox(**buttons)
        thumbs = await self._answers.thumbs(conversation, request)
        return box, await self._refresh(choice, blend), thumbs, *await self._answers.due(conversation)

    async def _stop(self, request: gr.Request) -> None:
        await self._chats.stop(session_of(request))

    async def _clear(self, conversation: Conversation, request: gr.Request) -> tuple[Any, ...]:
        """The page has emptied itself, but a reply may have come since. The box may hold the next message already."""
        await self._chats.clear(session_of(request), conversation)
        return gr.Chatbot([], feedback_value=[]), *self._answers.hidden()

    async def _leave(self, request: gr.Request) -> None:
        """The page was closed: nobody reads its reply any more."""
        await self._chats.stop(session_of(request))

    def _choices(self) -> list[tuple[str, str]]:
        personas = [(f"{persona.file.emoji} {persona.name}", slug) for slug, persona in self._service.personas.items()]
        return [*personas, (describe(self._service.personas, BASE), BASE), ("🎛️ Blend", BLEND)]

    def _example_blend(self) -> str:
        slugs = list(self._service.personas)[:2]
        return "+".join(f"{slug}:{weight}" for slug, weight in zip(slugs, (0.7, 0.3), strict=False))

    def _about(self, blend: Blend) -> str:
        if blend.is_base:
            return "The model as it is, without any persona."
        return " ".join(
            f"**{verbatim(self._service.personas[part.slug].name)}.**"
            f" {verbatim(self._service.personas[part.slug].file.description)}"
            for part in blend.parts
        )

    def _greeting(self, blend: Blend) -> str:
        greetings = [self._service.personas[part.slug].file.greeting for part in blend.parts[:1]]
        name = verbatim(describe(self._service.personas, str(blend)))
        return f"### {name}\n\n{verbatim((greetings or ['Ask away.'])[0])}"


def _spec(choice: object, blend: object) -> str:
    """What the picker and the blend beside it choose. Raises InvalidInput."""
    return _text("The blend", blend) if choice == BLEND else _text("The persona", choice)


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{what} must be text; open this page again, or send a string.")
    return value
