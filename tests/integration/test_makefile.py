"""`make` in a folder of its own, with a Python that makes environments without fetching anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from core.settings import ROOT

# As python3: knows its version and makes environments. Those of a Debian without python3-venv have no pip.
SYSTEM_PYTHON = """#!/bin/sh
case "$*" in
  -c*) exit 0;;
  "-m venv --clear "*)
    rm -rf "$4" && mkdir -p "$4/bin" && cp {environment} "$4/bin/python"
    exit {status};;
esac
echo "what is $*?" >&2
exit 9
"""
WITHOUT_PIP = "#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n"
WITH_PIP = '#!/bin/sh\necho "$@" >> {log}\n'


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def shop(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(shop, *arguments):
    return subprocess.run(
        ["make", f"PYTHON={shop / 'system-python'}", *arguments],
        cwd=shop,
        env={**os.environ, "MAKEFLAGS": "", "TORCH_INDEX": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def system_python(shop, environment, *, status):
    inside = script(shop / "inside-python", environment)
    script(shop / "system-python", SYSTEM_PYTHON.format(environment=inside, status=status))


def test_an_environment_without_pip_is_told_with_the_package_that_is_missing_every_time(shop):
    system_python(shop, WITHOUT_PIP, status=1)
    for _ in range(2):
        done = make(shop, "install")
        assert done.returncode == 2
        assert "apt install python3-venv" in done.stdout
        assert "No module named pip" not in done.stdout + done.stderr


def test_what_a_failed_attempt_left_is_made_anew_once_python_is_complete(shop):
    system_python(shop, WITHOUT_PIP, status=1)
    make(shop, "install")
    log = shop / "log"
    system_python(shop, WITH_PIP.format(log=log), status=0)
    assert make(shop, "install").returncode == 0
    torch, project = [line for line in log.read_text().splitlines() if " install " in line]
    assert torch.endswith("torch==2.13.0")
    assert project.endswith("-e .[all,dev]")
    assert (shop / ".venv" / ".installed").exists()


def test_torch_comes_from_the_index_that_is_named(shop):
    log = shop / "log"
    system_python(shop, WITH_PIP.format(log=log), status=0)
    assert make(shop, "install", "TORCH_INDEX=https://torch.example/cpu").returncode == 0
    torch, project = [line for line in log.read_text().splitlines() if " install " in line]
    assert torch.endswith("torch==2.13.0 --index-url https://torch.example/cpu")
    assert "--index-url" not in project


def test_help_lists_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {name for line in re.findall(r"^\.PHONY: (.+)$", text, flags=re.MULTILINE) for name in line.split()}
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"unit", "integration", "acceptance", "browser", "gpu"} <= targets
    assert set(re.findall(r"^  make (\S+)", shown, flags=re.MULTILINE)) == targets


def test_every_folder_of_tests_that_a_target_runs_holds_tests():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    folders = re.findall(r"^\t\$\(PYTEST\) (tests/\w+)$", text, flags=re.MULTILINE)
    assert len(folders) == 5
    for folder in folders:
        assert list((ROOT / folder).rglob("test_*.py"))
