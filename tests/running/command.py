"""Runs the real `personas` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.settings import ROOT
from tests.running.warm_process import start_process

# A warm process of the kind "light" has none of these.
TORCH_FREE = ("torch", "transformers", "peft", "trl", "gradio", "fastapi", "uvicorn", "bitsandbytes", "safetensors")
NEED_MODEL = ("chat", "doctor", "evaluate", "retrain", "serve", "train")
WITHOUT = """
import sys
for name in {packages}:
    assert name not in sys.modules or name in sys.stdlib_module_names, name  # Python itself has imported some by now
    sys.modules[name] = None  # importing it is an ImportError from now on
{first}
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
    *arguments: str,
    data_dir: Path,
    text: str | bytes = b"",
    without: tuple[str, ...] = (),
    first: str = "",
    is_fresh: bool = False,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `text` is its input, `without` are packages it must not find, `first` is code.

    A fresh process imports everything itself; others are forked from a warm Python.
    """
    code = ["-c", WITHOUT.format(packages=without, first=first)] if without or first else ["-m", "bot.cli"]
    pipe = subprocess.PIPE
    options = {"env": environment(data_dir, **variables), "cwd": "/"}  # where no personas.toml lies
    options |= {"stdin": pipe, "stdout": pipe, "stderr": pipe}
    if is_fresh or set(without) - set(TORCH_FREE):
        process = subprocess.Popen([sys.executable, *code, *arguments], **options)
    else:
        kind = "heavy" if arguments[0] in NEED_MODEL and not without else "light"
        process = start_process([*code, *arguments], kind=kind, **options)
    with process:
        try:
            out, errors = process.communicate(text.encode() if isinstance(text, str) else text, timeout=240)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out.decode(), errors.decode())


def assert_one_sentence(done: subprocess.CompletedProcess[str], *parts: str, status: int) -> None:
    """The command failed with this status, and its last line of errors is a sentence with these parts."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("personas: ")
    assert last.endswith(".")
    for part in parts:
        assert part in last
