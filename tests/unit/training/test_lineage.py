"""What a lineage says of the code that trained, asked of real git clones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from training import lineage
from training.lineage import git_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
SHIPPED = "personas/zen/adapters/smollm2/lineage.json"
ROWS = "personas/zen/train.jsonl"


def git(root: Path, *line: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *author, "-C", str(root), *line], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in (SHIPPED, ROWS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_adapters_that_were_trained_before_leave_the_code_clean_and_changed_rows_do_not(clone: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD").strip()
    (clone / SHIPPED).write_text("two")
    (clone / "notes.txt").touch()
    assert git_commit(clone) == commit
    (clone / ROWS).write_text("two")
    assert git_commit(clone) == f"{commit}-dirty"


def test_where_git_cannot_tell_there_is_no_commit(
    clone: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    assert git_commit(empty) is None
    git(empty, "init", "-q")
    assert git_commit(empty) is None
    monkeypatch.setattr(lineage, "GIT_TIMEOUT_S", 0)  # as if the disk hung
    assert git_commit(clone) is None
