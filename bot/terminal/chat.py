"""One terminal conversation: lines in, replies out, thumbs on them. Knows the service and no keys or line editors."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager

from rich.console import Console
from rich.markup import escape

from bot.chat.answers import asking_again, buttons_under, neighbour
from bot.chat.judging import CHOSEN, NOTED, NOTHING_TO_CHOOSE, TAKEN_BACK, Judgement, Judging
from bot.chat.personas import describe
from bot.chat.platform import IncomingMessage
from bot.chat.reply_pages import DROPPED_NOTE, thoughts_note
from bot.chat.responder import PendingReply
from bot.service.service import Service
from core.blends import BASE, Blend, parse_blend
from core.errors import EngineFailed, InvalidInput, PersonasError
from core.loop_signals import calls_on
from core.messages import ChatMessage
from core.personas import check_blend
from core.store import exchanges
from core.text_check import without_controls

SOURCE = "terminal"
MAX_PLACE_DIGITS = 9
HELP = """\
/persona NAME   let another persona answer (base: none at all)
/blend SPEC     let several answer as one, as in /blend codebeard:0.7+zen:0.3
/personas       who there is
/again          another answer to the last question
/pick NUMBER    this answer is the best of them, and the talk goes on from it (no number: the last one)
/better TEXT    what the last reply should have said instead
/clear          forget what was said
/quit           leave (or Ctrl-D)
+  -            thumb up or down for the last reply (keys: F9 F10, or Alt-Up Alt-Down)
/takeback       take that thumb back
Ctrl-C          stop the reply that is being written"""


class TerminalChat:
    """A conversation of one person. `console` gets the replies, `errors` the sentences of what went wrong."""

    def __init__(self, service: Service, console: Console, errors: Console, *, spec: str, user: str) -> None:
        """Raises InvalidBlend or NotFound for a spec that nobody answers to."""
        self._service = service
        self._console = console
        self._errors = errors
        self._user = user
        self._blend = self._find(spec)
        self._judging = Judging(service.store, SOURCE, takes_consent=False)
        self._on_answers: dict[str, Callable[[str], Awaitable[None]]] = {
            "again": self._ask_again,
            "pick": self._pick,
            "better": self._write_better,
            "takeback": self._take_thumb_back,
        }
        self._clear()
        self.failures = 0

    def greet(self) -> None:
        """Say who is there, and how to go on."""
        base = self._service.settings.base_model
        title = describe(self._service.personas, str(self._blend))
        self._console.print(f"[bold]{escape(title)}[/bold] [dim]on {escape(base)}; /help lists the commands[/dim]")
        if len(self._blend.parts) == 1:
            self._console.print(escape(self._service.personas[self._blend.parts[0].slug].file.greeting))

    async def handle(self, line: str) -> bool:
        """Do what a line asks for; False when it says good-bye. What goes wrong is told, not raised."""
        line = line.strip()
        try:
            if line in ("/quit", "/exit"):
                return False
            if line in ("+", "-"):
                await self.judge(line == "+")
            elif line.startswith("/"):
                await self._command(*line[1:].split(maxsplit=1))
            elif line:
                await self._ask(line)
        except PersonasError as error:
            self.complain(error)
        return True

    async def judge(self, label: bool) -> None:
        """Give the last reply a thumb. Raises InvalidInput when there is none."""
        await self._judging.judge(self._finished(), self._user, label=label)
        self._console.print(
            f"[dim]{'👍 noted' if label else '👎 noted; /better TEXT says what it should have been'}[/dim]"
        )

    def complain(self, error: PersonasError) -> None:
        self.failures += 1
        self._errors.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)

    async def _command(self, name: str = "", argument: str = "") -> None:
        if name == "help":
            self._console.print(HELP, markup=False)
        elif name in self._on_answers:
            await self._on_answers[name](argument)
        elif name == "personas":
            for slug, persona in self._service.personas.items():
                self._console.print(escape(f"{slug}: {persona.file.emoji} {persona.name}. {persona.file.description}"))
        elif name == "clear":
            self._clear()
            self._console.print("[dim]forgotten[/dim]")
        elif name in ("persona", "blend") and argument:
            self._blend = self._find(argument)
            self.greet()
        elif name in ("persona", "blend"):
            example = "zen" if name == "persona" else "codebeard:0.7+zen:0.3"
            raise InvalidInput(f"Say which one, as in /{name} {example}.")
        else:
            raise InvalidInput(f"There is no command /{name}; /help lists them.")

    def _find(self, spec: str) -> Blend:
        return check_blend(self._service.personas, parse_blend(spec.strip().lower() or BASE))

    def _clear(self) -> None:
        self._said: tuple[ChatMessage, ...] = ()
        self._asked: tuple[ChatMessage, ...] = ()  # up to the last question
        self._conversation_id = f"{SOURCE}:{uuid.uuid4().hex}"
        self._last_exchange: str | None = None  # whether or not it came to its end
        self._written: dict[str, str] = {}  # the finished answers to the last question

    def _finished(self) -> str:
        """The last reply. Raises InvalidInput when there is none, or it did not come to its end."""
        if self._last_exchange is None or self._last_exchange not in self._written:
            raise InvalidInput("There is no finished reply to judge yet; ask something first.")
        return self._last_exchange

    async def _ask(self, text: str) -> None:
        """Send a message and print the reply as it grows. Raises PersonasError."""
        asked = (*self._said, ChatMessage("user", text))
        self._last_exchange = None  # a thumb is never for the reply before this one
        self._asked, self._written = asked, {}
        await self._answer(self._question("message", asked))

    async def _ask_again(self, _argument: str) -> None:
        """Print another answer to the last question. Raises PersonasError."""
        former = None
        if self._last_exchange is not None:
            async with self._service.store.read() as session:
                former = await exchanges.find(session, self._last_exchange)
        if former is None:
            raise InvalidInput("There is no reply yet that could be written anew; ask something first.")
        await self._answer(asking_again(self._question("regenerate", self._asked), former))
        shown = await buttons_under(self._service.store, str(self._last_exchange))
        if shown.count > 1:
            self._say(f"{shown.index + 1}/{shown.count}; /pick, or /pick 1 and so on, says which one is better")

    async def _pick(self, number: str) -> None:
        """Prefer one of the answers to the last question, and go on from it."""
        if self._last_exchange is None:
            raise InvalidInput("There is no reply to choose yet; ask something first.")
        shown = await buttons_under(self._service.store, self._last_exchange)
        is_number = number.isdecimal() and len(number) <= MAX_PLACE_DIGITS
        place = int(number) if is_number else 0 if number else shown.index + 1
        if not 1 <= place <= shown.count:
            raise InvalidInput(f'There is no answer "{number[:30]}"; give a number from 1 to {shown.count}.')
        chosen = await neighbour(self._service.store, shown.exchange_id, place - 1 - shown.index)
        if chosen is None:  # it was forgotten meanwhile
            raise InvalidInput(NOTHING_TO_CHOOSE)
        count = await self._judging.pick(chosen.id, self._user)
        self._last_exchange = chosen.id
        self._said = (*self._asked, ChatMessage("assistant", self._written[chosen.id]))
        self._say(CHOSEN.format(count=count))

    async def _write_better(self, text: str) -> None:
        finished = self._finished()
        if not text.strip():
            raise InvalidInput("Say what it should have said, as in /better A stack is a pile of plates.")
        await self._judging.record(finished, self._user, Judgement(better_answer=text))
        self._say(NOTED)

    async def _take_thumb_back(self, _argument: str) -> None:
        await self._judging.take_thumb_back(self._finished(), self._user)
        self._say(TAKEN_BACK)

    def _say(self, sentence: str) -> None:
        self._console.print(f"[dim]{escape(sentence)}[/dim]")

    def _question(self, kind: str, asked: tuple[ChatMessage, ...]) -> IncomingMessage:
        return IncomingMessage(
            source=SOURCE,
            event_id=f"{kind}:{uuid.uuid4().hex}",
            conversation_id=self._conversation_id,
            user_id=self._user,
            messages=asked,
            model=str(self._blend),
        )

    async def _answer(self, question: IncomingMessage) -> None:
        reply = await self._service.responder.open(question)
        written = thoughts = ""
        with ctrl_c_stops((reply,)):
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    written += chunk.text
                    thoughts += chunk.thoughts
                    self._console.out(without_controls(chunk.text), end="", highlight=False)
        self._console.print(" [dim](stopped)[/dim]" if chunk.finish_reason == "cancelled" else "")
        if self._last_exchange is None or chunk.finish_reason != "error":  # else the former answer stands
            self._last_exchange = reply.exchange_id
        if self._service.settings.show_thoughts and thoughts.strip():
            self._console.print(f"[dim]{escape(without_controls(thoughts_note(thoughts)))}[/dim]")
        if chunk.dropped:
            self._console.print(f"[dim]{DROPPED_NOTE}[/dim]")
        if chunk.finish_reason == "error":
            raise EngineFailed(chunk.error or "The reply could not be written; ask again.")
        if written:
            self._said = (*question.messages, ChatMessage("assistant", written))
        if chunk.finish_reason in ("stop", "length"):
            self._written[reply.exchange_id] = written


@contextmanager
def ctrl_c_stops(replies: Sequence[PendingReply]) -> Iterator[None]:
    """While these replies are written, Ctrl-C ends them and not the program."""
    cancelling: set[asyncio.Task[None]] = set()

    def stop() -> None:
        cancelling.update(asyncio.create_task(reply.cancel()) for reply in replies)

    with calls_on(signal.SIGINT, call=stop):
        yield
