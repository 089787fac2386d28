from __future__ import annotations

import shlex
import sys

import pytest

from bot.advice import base_option, install_command, train_command
from core.settings import ROOT


@pytest.mark.parametrize(
    ("base_model", "command"),
    [
        ("demo", "personas train zen"),
        ("Qwen/Qwen3-4B", "personas train zen --base Qwen/Qwen3-4B"),
        ("/models/my model", "personas train zen --base '/models/my model'"),
    ],
)
def test_the_command_to_train_trains_for_the_base_model_it_is_about(base_model, command):
    assert train_command("zen", base_model) == command
    assert command.endswith(base_option(base_model))


def test_an_extra_is_installed_from_this_project_into_this_environment():
    assert shlex.split(install_command("web")) == [sys.executable, "-m", "pip", "install", "-e", f"{ROOT}[web]"]
    assert (ROOT / "pyproject.toml").is_file()
