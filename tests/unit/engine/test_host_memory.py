from __future__ import annotations

import psutil

from core.engine.host_memory import free_bytes


def make_cgroup(folder, limit, used, files=0):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
    return folder


def test_a_container_s_limit_counts_and_files_in_memory_are_free(tmp_path):
    assert free_bytes(make_cgroup(tmp_path, 1000, 900, files=150)) == 250
    assert free_bytes(make_cgroup(tmp_path, 1000, 1200)) == 0


def test_without_a_limit_the_machine_decides(tmp_path):
    total = psutil.virtual_memory().total
    assert 0 < free_bytes(tmp_path) <= total
    assert 0 < free_bytes(make_cgroup(tmp_path, "max", 900)) <= total
    assert 0 < free_bytes(make_cgroup(tmp_path, 2**63, 900)) <= total
