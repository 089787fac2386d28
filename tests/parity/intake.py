"""One conversation with everything that can be said of its answers, in the playground, over the API, in the terminal.

There nobody is asked for consent, no place decides and no message shows an answer, so the script is shorter than that
of the chat platforms (`tests.parity.script`); what is said of an answer leaves the same rows.
"""

from __future__ import annotations

import io
from typing import Any, Protocol

from openai import AsyncOpenAI
from rich.console import Console

from bot.service.service import Service
from bot.terminal.chat import TerminalChat
from tests.parity.rows import Names, Row, rows_of
from tests.running.playground_page import Page, open_page

PERSONA = "zen"


class Talk(Protocol):
    """A person. Each act returns when it has taken effect."""

    async def ask(self, text: str) -> None: ...

    async def react(self, label: bool | None) -> None:
        """To the answer at hand, instead of what was there before; None takes it back."""

    async def regenerate(self) -> None:
        """Another answer to the last question."""

    async def show(self, number: int) -> None:
        """The answer of this number is the one at hand, where answers are paged through."""

    async def pick(self, number: int) -> None:
        """The answer of this number, from 1, is the best."""

    async def write_better(self, text: str) -> None:
        """For the answer at hand, after a thumb down."""


class PlaygroundTalk:
    """The page's own events, as a browser sends them."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._turns = 0

    @classmethod
    async def begin(cls, http: Any) -> PlaygroundTalk:
        assert (await http.get("/")).status_code == 200
        return cls(await open_page(http))

    async def _call(self, event: str, *data: Any, **options: Any) -> list[Any]:
        toasts, output, _ = await self._page.call(event, *data, **options)
        assert output is not None, toasts
        return toasts

    async def ask(self, text: str) -> None:
        await self._call("_send", text, None, PERSONA, "")
        self._turns += 2

    async def react(self, label: bool | None) -> None:
        thumb = {"index": self._turns - 1, "value": "", "liked": "" if label is None else label}
        await self._call("_judge", None, event_data=thumb)

    async def regenerate(self) -> None:
        await self._call("_send_again", None)

    async def show(self, number: int) -> None:
        for _ in range(5):
            await self._call("_go_back", None)
        for _ in range(number - 1):
            await self._call("_go_on", None)

    async def pick(self, number: int) -> None:
        await self.show(number)
        await self._call("_pick", None)

    async def write_better(self, text: str) -> None:
        await self.react(False)
        await self._call("_write_better", None, text)


class ApiTalk:
    """A client that keeps its conversation itself, as all of them do."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client
        self._messages: list[dict[str, str]] = []
        self._answers: list[tuple[str, str]] = []  # id and words of those to the last question

    async def ask(self, text: str) -> None:
        if self._answers:
            self._messages.append({"role": "assistant", "content": self._at_hand[1]})
        self._messages.append({"role": "user", "content": text})
        self._answers = []
        await self._complete()

    async def _complete(self, **extra: str) -> None:
        reply = await self._client.chat.completions.create(
            model=PERSONA,
            messages=self._messages,
            user="ann",
            extra_body=extra,  # type: ignore[arg-type]
        )
        self._answers.append((reply.id, reply.choices[0].message.content or ""))
        self._at_hand = self._answers[-1]

    async def _say(self, completion_id: str, **said: Any) -> None:
        body = {"completion_id": completion_id, "user": "ann", **said}
        await self._client.post("/feedback", body=body, cast_to=dict[str, object])

    async def react(self, label: bool | None) -> None:
        await self._say(self._at_hand[0], label=label)

    async def regenerate(self) -> None:
        await self._complete(variant_of=self._at_hand[0])

    async def show(self, number: int) -> None:
        self._at_hand = self._answers[number - 1]

    async def pick(self, number: int) -> None:
        await self.show(number)
        await self._say(self._at_hand[0], preferred=True)

    async def write_better(self, text: str) -> None:
        await self._say(self._at_hand[0], label=False, better_answer=text)


class TerminalTalk:
    """Typed lines."""

    def __init__(self, service: Service) -> None:
        self._errors = io.StringIO()
        consoles = Console(file=io.StringIO()), Console(file=self._errors)
        self._chat = TerminalChat(service, *consoles, spec=PERSONA, user="ann")

    async def _type(self, line: str) -> None:
        assert await self._chat.handle(line)
        assert not self._errors.getvalue()

    async def ask(self, text: str) -> None:
        await self._type(text)

    async def react(self, label: bool | None) -> None:
        await self._type("/takeback" if label is None else "+" if label else "-")

    async def regenerate(self) -> None:
        await self._type("/again")

    async def show(self, number: int) -> None:
        """All answers stand above each other."""

    async def pick(self, number: int) -> None:
        await self._type(f"/pick {number}")

    async def write_better(self, text: str) -> None:
        await self._type("-")
        await self._type(f"/better {text}")


async def converse(talk: Talk, service: Service) -> dict[str, dict[str, list[Row]]]:
    """What the store holds after each part of the conversation."""
    names, kept = Names(), {}

    async def look(part: str) -> None:
        kept[part] = await rows_of(service.store, names)

    await talk.ask("one two three")
    await talk.ask("and four")
    await look("asked")
    await talk.react(True)
    await look("up")
    await talk.react(False)
    await look("down")
    await talk.react(None)
    await look("removed")
    await talk.regenerate()
    await talk.regenerate()
    await talk.react(True)
    await look("varied")
    await talk.pick(2)
    await look("picked")
    await talk.pick(1)
    await look("picked another")
    await talk.write_better("five")
    await talk.write_better("five, of course")
    await look("better")
    await talk.ask("go on")
    await look("went on")
    return kept
