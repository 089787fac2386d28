"""A blind duel on the page: two versions of the chosen persona answer beside each other, and the session votes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import gradio as gr

from bot.chat.duels import LETTERS, TURNS, Duel, Duels
from bot.chat.platform import IncomingMessage
from bot.web.metrics import Metrics
from bot.web.pace import Pace
from bot.web.playground_chat import MAX_MESSAGE_CHARS, SOURCE, sendable
from bot.web.playground_text import reply_markdown, verbatim
from bot.web.playground_view import said, session_of
from bot.web.service_view import Service
from core.errors import InvalidInput, PersonasError
from core.messages import ChatMessage
from core.store.duels import Choice

WRITING = "Both versions are writing…"
NO_VERSION = "Give the numbers of two versions; `personas versions` lists them."
NO_QUESTION = f"Write a question for both, of at most {MAX_MESSAGE_CHARS} characters."


class PlaygroundDuels:
    """Knows the service and no components. Raises PersonasError, each with a sentence for the page."""

    def __init__(self, service: Service, metrics: Metrics, pace: Pace) -> None:
        self._metrics = metrics
        self._pace = pace
        self._duels = Duels(
            SOURCE,
            service.store,
            service.registry,
            service.personas,
            service.settings.base_slug,
            lambda: service.responder,
        )

    async def fight(self, session_id: str, persona: object, one: object, other: object, text: object) -> Duel:
        numbers = [int(one or 0), int(other or 0)] if isinstance(one, int) and isinstance(other, int) else [0, 0]
        if min(numbers) < 1 or not isinstance(persona, str):
            raise InvalidInput(NO_VERSION)
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_MESSAGE_CHARS:
            raise InvalidInput(NO_QUESTION)
        contest = await self._duels.contest(persona, *numbers)
        name = uuid.uuid4().hex
        question = IncomingMessage(
            source=SOURCE,
            event_id=f"duel:{name}",
            conversation_id=f"{SOURCE}:duel:{name}",
            user_id=session_id,
            messages=(ChatMessage("user", sendable(text)),),
        )
        self._pace.check(session_id, replies=TURNS)
        return await self._duels.fight(contest, question, chunks=partial(self._metrics.measured, source=SOURCE))

    async def vote(self, session_id: str, duel_id: str, choice: Choice) -> str:
        return await self._duels.vote(duel_id, session_id, choice)


class DuelPanel:
    """The components, closed at first, and what happens when they are used."""

    def __init__(self, duels: PlaygroundDuels) -> None:
        self._duels = duels

    def build(self) -> None:
        """Make the components where the page is being built."""
        self._id = gr.State("")
        with gr.Accordion("⚔️ Blind duel of two versions", open=False, elem_id="duel"):
            with gr.Row():
                self._one = gr.Number(label="Version", precision=0, minimum=1, elem_id="duel-one")
                self._other = gr.Number(label="Against version", precision=0, minimum=1, elem_id="duel-other")
            self._question = gr.Textbox(
                placeholder="A question that both answer", label="Question", submit_btn="Duel", elem_id="duel-question"
            )
            with gr.Row(visible=False, elem_id="duel-answers") as self._answers:
                self._sides = [gr.Markdown(elem_id=f"duel-{letter.lower()}") for letter in LETTERS]
            with gr.Row(visible=False, elem_id="duel-votes") as self._votes:
                self._first = gr.Button("🅰️ A is better", size="sm")
                self._tie = gr.Button("🤝 As good", size="sm")
                self._second = gr.Button("🅱️ B is better", size="sm")
            self._verdict = gr.Markdown(elem_id="duel-verdict")

    def wire(self, picker: gr.Radio, **quiet: Any) -> None:
        shown = [self._id, self._answers, *self._sides, self._votes, self._verdict]
        self._question.submit(self._duel, [picker, self._one, self._other, self._question], shown, **quiet)
        self._first.click(self._vote_first, self._id, self._verdict, **quiet)
        self._tie.click(self._vote_tie, self._id, self._verdict, **quiet)
        self._second.click(self._vote_second, self._id, self._verdict, **quiet)

    async def _duel(
        self, persona: object, one: object, other: object, text: object, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...]]:
        hidden = gr.Row(visible=False)
        yield "", hidden, *[gr.skip() for _ in LETTERS], hidden, WRITING
        try:
            duel = await self._duels.fight(session_of(request), persona, one, other, text)
        except PersonasError as error:
            gr.Warning(said(error))
            yield "", hidden, *[gr.skip() for _ in LETTERS], hidden, ""
            return
        sides = zip(LETTERS, (duel.first, duel.second), strict=True)
        texts = [f"**{letter}**\n\n{reply_markdown(side.text) or '…'}" for letter, side in sides]
        yield duel.id, gr.Row(visible=True), *texts, gr.Row(visible=True), "Which one is better?"

    async def _vote_first(self, duel_id: str, request: gr.Request) -> Any:
        return await self._vote(duel_id, "first", request)

    async def _vote_tie(self, duel_id: str, request: gr.Request) -> Any:
        return await self._vote(duel_id, "tie", request)

    async def _vote_second(self, duel_id: str, request: gr.Request) -> Any:
        return await self._vote(duel_id, "second", request)

    async def _vote(self, duel_id: str, choice: Choice, request: gr.Request) -> Any:
        try:
            return verbatim(await self._duels.vote(session_of(request), duel_id, choice))
        except PersonasError as error:
            gr.Warning(said(error))
            return gr.skip()
