"""core/ is used by front ends that have no command line, so none of its texts names a command of this program."""

from __future__ import annotations

import ast
import re

from core.settings import ROOT

VERBS = (
    "serve|worker|bot|chat|list|show|new|train|retrain|evaluate|versions|promote|rollback|rollout|feedback|data|db"
    "|doctor"
)
COMMAND = re.compile(rf"\bpersonas ({VERBS})\b|(^|[\s`])--[a-z]|pip install")


def texts_of(path):
    return [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if is_text(node)]


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_no_text_of_core_names_a_command():
    files = list((ROOT / "core").rglob("*.py"))
    assert len(files) > 50
    assert {f"{path.name}: {text[:60]}" for path in files for text in texts_of(path) if COMMAND.search(text)} == set()
