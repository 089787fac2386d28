from __future__ import annotations

import argparse
import shlex

import pytest

from bot.commands.argument_parts import Parser
from bot.commands.arguments import build_parser
from core.errors import InvalidInput


def commands(parser: Parser) -> dict[str, Parser]:
    """Every command below a parser, by what one types."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found[name] = child
                found |= {f"{name} {below}": grandchild for below, grandchild in commands(child).items()}
    return found


ALL = commands(build_parser())


def test_every_command_of_the_design_is_offered():
    assert set(ALL) == {
        *("serve", "chat", "duel", "list", "show", "versions", "promote", "rollback", "rollout", "feedback", "train"),
        "evaluate",
        *("retrain", "trainer", "blend", "merge", "export"),
        "new",
        *("db", "db upgrade", "db current", "db backup", "doctor"),
        *("data", "data show", "data forget", "data purge"),
        *("slack", "slack manifest"),
    }


@pytest.mark.parametrize("name", ALL)
def test_the_help_of_every_command_has_an_example_that_parses(name):
    lines = ALL[name].format_help().splitlines()
    examples = [shlex.split(line.split("|")[-1]) for line in lines[lines.index("examples:") + 1 :]]
    assert examples
    for program, *arguments in examples:
        assert program == "personas"
        assert build_parser().parse_args(arguments).run


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "COMMAND"),
        ("bogus", "bogus"),
        ("promote zen two", '"two" is no version; give its number, such as 2'),
        ("promote zen zen@2", '"zen@2" is no version'),
        (f"promote zen {'9' * 5_000}", f'"{"9" * 40}" is no version; give its number, such as 2'),
        (f"serve --port {'9' * 5_000}", "--port"),
        ("evaluate zen --version 0", '"0" is no version'),
        ("serve --port http", "http"),
        ("train", "PERSONA"),
        ("train zen --targets everything", "everything"),
        ("list extra", "extra"),
    ],
)
def test_a_wrong_line_is_one_sentence_that_names_what_is_wrong(line, part):
    with pytest.raises(InvalidInput) as raised:
        build_parser().parse_args(line.split())
    sentence = str(raised.value)
    assert part in sentence
    assert len(sentence) < 500
    assert sentence.endswith("--help`.")
    assert "\n" not in sentence
