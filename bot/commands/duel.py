"""`personas duel`: two versions answer blindly in this process, as `personas chat` does; or where they stand by now."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from bot.chat.duels import Duels, standing_text
from bot.commands.chat import NO_INPUT, Conversation, converse
from bot.commands.logs import configure_logging
from bot.commands.output import make_console, user_name
from bot.commands.running import run_service
from bot.service.service import Service
from bot.service.storage import open_storage
from bot.terminal.chat import SOURCE
from bot.terminal.duel import TerminalDuel, duels_of
from core.duel_statistics import Standing
from core.errors import InvalidInput
from core.settings import Settings
from core.store.duels import Contest


def duel(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when every line was answered, else 1, so that a script can tell."""
    if arguments.standing or arguments.is_json:
        contest, found = asyncio.run(_standing(arguments, settings))
        if arguments.is_json:
            make_console().print_json(json.dumps(_as_json(contest, found)))
        else:
            make_console().print(escape(standing_text(contest, found)), soft_wrap=True)
        return 0
    if sys.stdin is None:  # before the model is loaded
        raise InvalidInput(NO_INPUT)
    configure_logging(settings.log_level, is_quiet=True, secrets=settings.secrets)

    async def begin(service: Service, console: Console, errors: Console) -> Conversation:
        duels = duels_of(service)
        contest = await duels.contest(arguments.persona, arguments.one, arguments.other, is_public=False)
        return TerminalDuel(duels, contest, console, errors, user=user_name())

    return run_service(converse(settings, begin))


async def _standing(arguments: argparse.Namespace, settings: Settings) -> tuple[Contest, Standing]:
    """Without a model: votes are counted, and nobody answers."""

    def nobody() -> Any:
        raise AssertionError

    async with open_storage(settings) as storage:
        duels = Duels(SOURCE, storage.store, storage.registry, storage.personas, settings.base_slug, nobody)
        contest = await duels.contest(arguments.persona, arguments.one, arguments.other, is_public=False)
        return contest, await duels.standing(contest)


def _as_json(contest: Contest, found: Standing) -> dict[str, Any]:
    """`win_rate`, and its interval, are of the second version against the first."""
    winner = {0: None, 1: contest.other, -1: contest.one}[found.winner]
    return {
        "persona": contest.persona,
        "base_model": contest.base_model,
        "versions": [contest.one, contest.other],
        **asdict(found),
        "winner": winner,
        "sentence": standing_text(contest, found),
    }
