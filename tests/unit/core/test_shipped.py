from __future__ import annotations

import pytest

from core import shipped
from core.settings import ROOT
from core.shipped import shipped_folder


@pytest.mark.parametrize("name", ["migrations", "personas"])
def test_in_a_clone_the_shipped_folders_are_those_at_its_top(name):
    assert shipped_folder(name) == ROOT / name
    assert shipped_folder(name).is_dir()


def test_in_a_wheel_they_are_below_core_even_beside_a_package_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "CORE", tmp_path / "core")
    (tmp_path / "personas").mkdir()
    (tmp_path / "core" / "_shipped" / "personas").mkdir(parents=True)
    assert shipped_folder("personas") == tmp_path / "core" / "_shipped" / "personas"
