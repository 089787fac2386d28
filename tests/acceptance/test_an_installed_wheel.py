"""Installed, not cloned: a wheel in an environment of its own, started in an empty folder.

What the project needs is not installed a second time: the environment looks it up where these tests run, but finds
the project itself only in the wheel.
"""

from __future__ import annotations

import os
import shlex
import shutil
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.settings import ROOT
from tests.models.tiny_models import make_tiny_model
from tests.running.patience import TIMEOUT_S
from tests.running.real_server import real_server

CODE = ("bot", "core", "training")
SHIPPED = ("personas", "migrations")
PROJECT = ("pyproject.toml", "README.md", "LICENSE")


@dataclass(frozen=True)
class Installed:
    """The environment with the wheel in it, and the empty folder its commands start in."""

    site_packages: Path
    bin: Path
    folder: Path
    environment: dict[str, str]

    def run(self, *line: str) -> str:
        """What a program of this environment prints; it has to succeed."""
        done = subprocess.run(
            [self.bin / line[0], *line[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shipped_files(self) -> dict[str, bytes]:
        return files_below(self.site_packages / "core" / "_shipped")


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file but bytecode and hidden ones: its path from here, and what is in it."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = (name for name in names if not any(part.startswith((".", "__pycache__")) for part in name.parts))
    return {name.as_posix(): (folder / name).read_bytes() for name in kept}


def build_wheel(folder: Path) -> Path:
    """The wheel of this tree. A copy is built: what an earlier build has left beside it would get into the wheel."""
    tree = folder / "tree"
    tree.mkdir()
    for name in (*CODE, *SHIPPED, *PROJECT):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, tree)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(tree))
    (wheel,) = folder.glob("*.whl")
    return wheel


def pip(*line: str) -> None:
    """Run pip, which takes the project for installed where PYTHONPATH leads to a clone of it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *line]
    subprocess.run(command, env=environment, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    top = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(top)
    environment = top / ".venv"
    venv.create(environment, symlinks=True)
    pip("--python", str(environment / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    (site_packages,) = environment.glob("lib/python*/site-packages")
    # Last on the path, and the .pth files in there are not read: an editable install of this project is not seen.
    (site_packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    folder, home = top / "empty", top / "home"
    folder.mkdir()
    home.mkdir()
    variables = {
        "HOME": str(home),
        "PATH": os.defpath,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PERSONAS_BASE_MODEL": str(make_tiny_model("llama", top / "tiny", max_position_embeddings=2048)),
    }
    return Installed(site_packages, environment / "bin", folder, variables)


def test_the_code_comes_from_the_wheel_and_nothing_else_of_the_projects_is_at_the_top(installed):
    code = "from importlib.util import find_spec as f; print(*(f(name).origin for name in ('bot', 'core', 'training')))"
    for file in installed.run("python", "-c", code).split():
        assert Path(file).is_relative_to(installed.site_packages)
    tops = {path.name for path in installed.site_packages.iterdir() if path.suffix != ".dist-info"}
    assert tops - {"__pycache__", "dependencies.pth"} == set(CODE)


def test_every_file_of_the_code_the_personas_and_the_migrations_is_in_the_wheel(installed):
    tree = {f"{top}/{name}": data for top in CODE for name, data in files_below(ROOT / top).items()}
    for top in SHIPPED:
        tree |= {f"core/_shipped/{top}/{name}": data for name, data in files_below(ROOT / top).items()}
    there = {f"{top}/{name}": data for top in CODE for name, data in files_below(installed.site_packages / top).items()}
    assert set(there) == set(tree)
    assert [name for name in tree if there[name] != tree[name]] == []


def test_the_command_that_installs_an_extra_finds_all_that_the_wheel_asks_for(installed):
    code = "from bot.commands.advice import install_command; print(install_command('all'))"
    python, *line = shlex.split(installed.run("python", "-c", code))
    assert Path(python).parent == installed.bin
    said = installed.run("python", *line, "--dry-run", "--no-index", "--disable-pip-version-check")
    assert "torch==" in said and "discord.py" in said
    assert "Would install" not in said


def test_personas_are_listed_and_the_database_is_made_in_an_empty_folder(installed):
    listed = installed.run("personas", "list")
    assert all(slug in listed for slug in ("codebeard", "zen", "noir", "nana"))
    shutil.rmtree(installed.folder / "data")
    installed.run("personas", "db", "upgrade")
    assert [path.name for path in installed.folder.iterdir()] == ["data"]
    assert (installed.folder / "data" / "personas.db").exists()


def test_a_persona_answers_over_http_and_the_playground_is_there(installed):
    before = installed.shipped_files()
    with real_server(
        installed.folder / "data",
        program=[str(installed.bin / "personas")],
        environment=installed.environment,
        cwd=installed.folder,
    ) as server:
        question = {"model": "codebeard", "messages": [{"role": "user", "content": "hey"}], "max_tokens": 4}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=question, timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] > 0
        assert httpx.get(f"{server.url}/", timeout=TIMEOUT_S).status_code == 200
    assert server.process.returncode == 0, server.log
    assert installed.shipped_files() == before


def test_training_writes_into_the_data_folder_and_leaves_what_was_installed_as_it_was(installed):
    before = installed.shipped_files()
    few = ("--max-steps", "2", "--accumulation", "1", "--max-length", "512", "--no-evaluation")
    assert "codebeard@1 is in " in installed.run("personas", "train", "codebeard", *few)
    (weights,) = (installed.folder / "data" / "adapters" / "codebeard").glob("*/*/adapter_model.safetensors")
    assert weights.stat().st_size > 0
    assert installed.shipped_files() == before
