"""Invariant 1: what talks to people, to the queue and to the store runs without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.settings import ROOT
from tests.running.command import TORCH_FREE, assert_one_sentence, environment, personas

ENGINE = ("accelerate", "bitsandbytes", "datasets", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")
WEB = ("fastapi", "gradio", "prometheus_client", "uvicorn")
# The commands that train import training, which needs everything.
TRAINS = tuple(
    f"bot.commands.{name}" for name in ("train", "evaluate", "retrain", "trainer", "blend", "merge", "export")
)
NEEDS_WEB = ("bot.web", "bot.commands.serve")
TORCH_FREE_ENGINE = (
    "base",
    "adapter_cache",
    "deferred_engine",
    "echo_engine",
    "scheduler",
)
IMPORT_ALL = """
import importlib, sys
for name in {blocked}:
    sys.modules[name] = None  # importing it is an ImportError from now on
for name in {modules}:
    importlib.import_module(name)
"""


def modules_of(package: str) -> list[str]:
    files = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def imports(modules: list[str], tmp_path, *, blocked: tuple[str, ...]) -> tuple[int, str]:
    """The exit status and the errors of a process that imports these modules and none of the blocked ones."""
    code = IMPORT_ALL.format(blocked=blocked, modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), cwd="/", capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_every_module_of_the_bot_is_imported_without_torch_and_only_the_web_needs_web_packages(tmp_path):
    modules = [name for name in modules_of("bot") if name not in TRAINS]
    chat = [name for name in modules if not name.startswith(NEEDS_WEB)]
    assert len(modules) > len(chat) > 1
    assert imports(chat, tmp_path, blocked=(*ENGINE, *WEB, "training")) == (0, "")
    assert imports(modules, tmp_path, blocked=(*ENGINE, "training")) == (0, "")


def test_only_the_discord_package_needs_discord(tmp_path):
    modules = [name for name in modules_of("bot") if name not in TRAINS and not name.startswith("bot.discord_chat.")]
    assert "bot.commands.discord_side" in modules
    assert imports(modules, tmp_path, blocked=(*ENGINE, "discord", "training")) == (0, "")


def test_only_the_slack_package_needs_slack_bolt(tmp_path):
    modules = [name for name in modules_of("bot") if name not in TRAINS and not name.startswith("bot.slack_chat.")]
    assert "bot.commands.slack_side" in modules
    assert imports(modules, tmp_path, blocked=(*ENGINE, "slack_bolt", "slack_sdk", "training")) == (0, "")


def test_what_both_sides_share_is_imported_without_torch_the_bot_and_training(tmp_path):
    shared = [name for name in modules_of("core") if not name.startswith("core.engine.")]
    shared += [f"core.engine.{name}" for name in TORCH_FREE_ENGINE]
    assert "core.worker.worker" in shared
    assert imports(shared, tmp_path, blocked=(*ENGINE, *WEB, "bot", "training")) == (0, "")


def test_the_engine_is_imported_without_the_bot_and_training(tmp_path):
    assert imports(modules_of("core"), tmp_path, blocked=("bot", "training")) == (0, "")


@pytest.mark.parametrize("line", ["promote zen 9", "rollback zen"])
def test_moving_aliases_needs_neither_torch_nor_training(tmp_path, line):
    done = personas(*line.split(), data_dir=tmp_path, without=(*TORCH_FREE, "training"))
    assert_one_sentence(done, "zen", status=2)


def test_the_doctor_says_which_extras_are_missing(tmp_path):
    done = personas("doctor", data_dir=tmp_path, without=(*ENGINE, *WEB), PERSONAS_PORT="0")
    assert done.returncode == 1
    assert not done.stderr
    for extra in ("web", "engine"):
        assert f"-m pip install -e '{ROOT}[{extra}]'" in done.stdout
