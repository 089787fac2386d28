"""What libraries say or fetch while they are imported, in a process of its own: an import happens only once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.running.command import environment

FAKE_KERNELS = """
import sys, types
from importlib.machinery import ModuleSpec
kernels = types.ModuleType("kernels")
def get_kernel(*arguments, **options):
    print("fetched", arguments)
kernels.get_kernel = get_kernel
kernels.__spec__ = ModuleSpec("kernels", None)
sys.modules["kernels"] = kernels
"""
HUB_LEVEL = """
from bot.commands.logs import configure_logging, quiet_loading
from core.settings import Settings
settings = Settings()
configure_logging(settings.log_level)
quiet_loading(settings)
import logging, huggingface_hub.file_download
print(logging.getLevelName(logging.getLogger("huggingface_hub").getEffectiveLevel()))
"""


def run_python(code: str, tmp_path, **variables: str) -> tuple[str, str]:
    """What the code printed, and what it or a library complained of."""
    env = environment(tmp_path, **variables)
    env.pop("HF_HUB_VERBOSITY", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd="/", capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("before", ["import training.lora", FAKE_KERNELS])
def test_training_is_imported_without_a_word_and_fetches_no_kernel(tmp_path, before):
    assert run_python(f"{before}\nimport training.sft", tmp_path) == ("", "")


@pytest.mark.parametrize(("level", "hub_level"), [("INFO", "ERROR"), ("DEBUG", "WARNING")])
def test_the_hub_tells_of_every_retry_only_to_those_who_debug(tmp_path, level, hub_level):
    assert run_python(HUB_LEVEL, tmp_path, PERSONAS_LOG_LEVEL=level)[0].split() == [hub_level]
