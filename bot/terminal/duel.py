"""Blind duels in the terminal: a question, two answers, a vote. Knows the service and no keys or line editors."""

from __future__ import annotations

import uuid

from rich.console import Console
from rich.markup import escape

from bot.chat.duels import LETTERS, Duels, standing_text
from bot.chat.platform import IncomingMessage
from bot.service.service import Service
from bot.terminal.chat import SOURCE, ctrl_c_stops
from core.errors import InvalidInput, PersonasError
from core.messages import ChatMessage
from core.store.duels import Choice, Contest
from core.text_check import without_controls

HELP = "Ask something, and both answer. Then a, b or = (as good) votes; /standing says where they stand, /quit leaves."
VOTES: dict[str, Choice] = {"a": "first", "b": "second", "=": "tie"}
NOTHING_TO_JUDGE = "There are no two answers to judge yet; ask something first."
WHICH = "Which one is better? a, b or = (as good); or ask something else."


def duels_of(service: Service) -> Duels:
    """The duels of one's own service."""
    return Duels(
        SOURCE,
        service.store,
        service.registry,
        service.personas,
        service.settings.base_slug,
        lambda: service.responder,
    )


class TerminalDuel:
    """One person's duels between two versions. `console` gets the answers, `errors` what went wrong."""

    def __init__(self, duels: Duels, contest: Contest, console: Console, errors: Console, *, user: str) -> None:
        self._duels = duels
        self._contest = contest
        self._console = console
        self._errors = errors
        self._user = user
        self._last: str | None = None  # the duel that a vote is about
        self.failures = 0

    def greet(self) -> None:
        one, other = self._contest.one, self._contest.other
        self._console.print(f"[bold]{escape(self._contest.persona)}: version {one} against version {other}[/bold]")
        self._say(HELP)

    async def handle(self, line: str) -> bool:
        """Do what a line asks for; False when it says good-bye. What goes wrong is told, not raised."""
        line = line.strip()
        try:
            if line in ("/quit", "/exit"):
                return False
            if line == "/standing":
                self._say(standing_text(self._contest, await self._duels.standing(self._contest)))
            elif line.startswith("/") or line in ("+", "-"):  # these two are what the thumb keys of a chat say
                self._say(HELP)
            elif line.lower() in VOTES:
                await self._vote(VOTES[line.lower()])
            elif line:
                await self._ask(line)
        except PersonasError as error:
            self.complain(error)
        return True

    def complain(self, error: PersonasError) -> None:
        self.failures += 1
        self._errors.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)

    async def _ask(self, text: str) -> None:
        self._last = None
        name = f"duel:{uuid.uuid4().hex}"
        question = IncomingMessage(
            source=SOURCE,
            event_id=name,
            conversation_id=f"{SOURCE}:{name}",
            user_id=self._user,
            messages=(ChatMessage("user", text),),
        )
        duel = await self._duels.fight(self._contest, question, watch=ctrl_c_stops)
        for letter, side in zip(LETTERS, (duel.first, duel.second), strict=True):
            self._console.print(f"[bold]{letter}[/bold]")
            self._console.out(without_controls(side.text), highlight=False)
        self._last = duel.id
        self._say(WHICH)

    async def _vote(self, choice: Choice) -> None:
        if self._last is None:
            raise InvalidInput(NOTHING_TO_JUDGE)
        self._say(await self._duels.vote(self._last, self._user, choice))

    def _say(self, sentence: str) -> None:
        self._console.print(f"[dim]{escape(sentence)}[/dim]", soft_wrap=True)
