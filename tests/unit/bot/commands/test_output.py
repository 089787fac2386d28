"""What commands print are the words themselves, whoever wrote them."""

from __future__ import annotations

from rich.markdown import Markdown
from rich.table import Table

from bot.commands.output import make_console

EVIL = "a :fire: \x1b]0;mine\x07\x1b[2J\x9b2Jb\r"
SHOWN = "a :fire: ]0;mine[2J2Jb"


def test_no_word_steers_the_terminal_or_becomes_a_picture(capsys):
    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_row(EVIL)
    for thing in (EVIL, table, Markdown(EVIL)):
        make_console().print(thing, markup=False)
    assert [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()] == [SHOWN] * 3
