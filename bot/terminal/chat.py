"""One terminal conversation: lines in, replies out, thumbs on them. Knows the service and no keys or line editors."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from rich.console import Console
from rich.markup import escape

from bot.chat.judging import record_feedback
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

SOURCE = "terminal"
# A model's text must not steer the terminal: every control character but tab and newline is left out.
CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
HELP = """\
/persona NAME   let another persona answer (base: none at all)
/blend SPEC     let several answer as one, as in /blend codebeard:0.7+zen:0.3
/personas       who there is
/clear          forget what was said
/quit           leave (or Ctrl-D)
+  -            thumb up or down for the last reply (keys: F9 F10, or Alt-Up Alt-Down)
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
                self._command(*line[1:].split(maxsplit=1))
            elif line:
                await self._ask(line)
        except PersonasError as error:
            self.complain(error)
        return True

    async def judge(self, label: bool) -> None:
        """Give the last reply a thumb. Raises InvalidInput when there is none."""
        if self._last_exchange is None:
            raise InvalidInput("There is no finished reply to judge yet; ask something first.")
        await record_feedback(
            self._service.store, exchange_id=self._last_exchange, user_id=self._user, label=label, source=SOURCE
        )
        self._console.print(f"[dim]{'👍' if label else '👎'} noted[/dim]")

    def complain(self, error: PersonasError) -> None:
        self.failures += 1
        self._errors.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)

    def _command(self, name: str = "", argument: str = "") -> None:
        if name == "help":
            self._console.print(HELP, markup=False)
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
        self._conversation_id = f"{SOURCE}:{uuid.uuid4().hex}"
        self._last_exchange: str | None = None

    async def _ask(self, text: str) -> None:
        """Send a message and print the reply as it grows. Raises PersonasError."""
        self._last_exchange = None  # a thumb is never for the reply before this one
        asked = (*self._said, ChatMessage("user", text))
        reply = await self._service.responder.open(
            IncomingMessage(
                source=SOURCE,
                event_id=uuid.uuid4().hex,
                conversation_id=self._conversation_id,
                user_id=self._user,
                messages=asked,
                model=str(self._blend),
            )
        )
        written = thoughts = ""
        with _ctrl_c_stops(reply):
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    written += chunk.text
                    thoughts += chunk.thoughts
                    self._console.out(chunk.text.translate(CONTROLS), end="", highlight=False)
        self._console.print(" [dim](stopped)[/dim]" if chunk.finish_reason == "cancelled" else "")
        if self._service.settings.show_thoughts and thoughts.strip():
            self._console.print(f"[dim]{escape(thoughts_note(thoughts).translate(CONTROLS))}[/dim]")
        if chunk.dropped:
            self._console.print(f"[dim]{DROPPED_NOTE}[/dim]")
        if chunk.finish_reason == "error":
            raise EngineFailed(chunk.error or "The reply could not be written; ask again.")
        if written:
            self._said = (*asked, ChatMessage("assistant", written))
        if chunk.finish_reason in ("stop", "length"):
            self._last_exchange = reply.exchange_id


@contextmanager
def _ctrl_c_stops(reply: PendingReply) -> Iterator[None]:
    """While a reply is written, Ctrl-C ends it and not the program."""
    cancelling: set[asyncio.Task[None]] = set()
    with calls_on(signal.SIGINT, call=lambda: cancelling.add(asyncio.create_task(reply.cancel()))):
        yield
