"""What commands and their arguments are made of: the parser, and what several commands take. Knows no command."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from core.errors import InvalidInput

MAX_MESSAGE_CHARS = 300
MAX_VERSION_DIGITS = 9  # what every database's integers hold


class Parser(argparse.ArgumentParser):
    """argparse with errors as one line and examples as they are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        from bot.commands.advice import personas_command  # takes a moment

        if len(message) > MAX_MESSAGE_CHARS:  # it quotes what was typed
            message = f"{message[:MAX_MESSAGE_CHARS]} ..."
        _, *words = self.prog.split()
        raise InvalidInput(f"{message}; see `{personas_command(*words, '--help')}`.")


def add_command(commands: Any, name: str, run: str, summary: str, *examples: str) -> Parser:
    description = f"{summary[0].upper()}{summary[1:]}."
    parser: Parser = commands.add_parser(name, help=summary, description=description, epilog=examples_of(*examples))
    parser.set_defaults(run=run)
    return parser


def add_persona(parser: Parser) -> None:
    parser.add_argument("persona", metavar="PERSONA", help="a persona's short name, see `personas list`")


def add_reason(parser: Parser) -> None:
    parser.add_argument("--reason", metavar="TEXT", help="why, for the event log")


def add_user(parser: Parser) -> None:
    parser.add_argument(
        "user",
        type=user_id,
        metavar="USER",
        help="who: where from and the id there, as in discord:80351110, or api:ann for the API's user ann",
    )


def add_base(parser: Parser) -> None:
    parser.add_argument("--base", dest="base_model", metavar="MODEL", help="hub id or folder (PERSONAS_BASE_MODEL)")


def add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", dest="is_json", help="print JSON, for programs")


def user_id(text: str) -> str:
    """A person's id, blanks around it cut off. Raises argparse.ArgumentTypeError."""
    if not text.strip():
        raise argparse.ArgumentTypeError("USER is empty; name one person, as in discord:80351110")
    return text.strip()


def count(text: str) -> int:
    """A count from 1 up. Raises argparse.ArgumentTypeError."""
    return _from_1_up(text, "is no count; give a whole number from 1 up")


def version(text: str) -> int:
    """An adapter version's number. Raises argparse.ArgumentTypeError."""
    return _from_1_up(text, "is no version; give its number, such as 2")


def _from_1_up(text: str, otherwise: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_VERSION_DIGITS
    if not is_number or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text[:40]}" {otherwise}')
    return int(text)


def examples_of(*commands: str) -> str:
    return "\n".join(["examples:", *(f"  {command}" for command in commands)])
