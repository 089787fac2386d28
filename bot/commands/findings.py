"""What the doctor found, and how it is shown. Knows no checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape

Level = Literal["ok", "warn", "fail"]
COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str
    text: str


def print_finding(console: Console, finding: Finding) -> None:
    level = f"[{COLOURS[finding.level]}]{finding.level:<4}[/]"
    console.print(f"{level} {finding.subject:<10} {escape(finding.text)}", soft_wrap=True)
