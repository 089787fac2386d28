"""Runs the real `personas` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.settings import ROOT

TORCH_FREE = ("torch", "transformers", "peft", "trl", "gradio", "fastapi", "uvicorn", "bitsandbytes", "safetensors")
WITHOUT = """
import sys
for name in {packages}:
    sys.modules[name] = None  # importing it is an ImportError from now on
from bot.cli import main
sys.exit(main(sys.argv[1:]))
"""


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """This process's environment with the data in a folder of the test's own."""
    return {
        **os.environ,
        "PERSONAS_DATA_DIR": str(data_dir),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        **variables,
    }


def personas(
    *arguments: str, data_dir: Path, text: str | bytes = b"", without: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `text` is its input, `without` are packages it must not find."""
    code = ["-c", WITHOUT.format(packages=without)] if without else ["-m", "bot.cli"]
    done = subprocess.run(
        [sys.executable, *code, *arguments],
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        cwd="/",  # where no personas.toml lies
        env=environment(data_dir, **variables),
        timeout=240,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_one_sentence(done: subprocess.CompletedProcess[str], *parts: str, status: int) -> None:
    """The command failed with this status, and its last line of errors is a sentence with these parts."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("personas: ")
    assert last.endswith(".")
    for part in parts:
        assert part in last
