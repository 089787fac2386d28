from __future__ import annotations

import ctypes
import platform

import psutil
import pytest

from core.engine.host_memory import free_bytes, trim_heap


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps, or gives back, in its own way")
def test_what_was_freed_goes_back_to_the_system():
    process = psutil.Process()
    blocks = [bytearray(b"x" * 60_000) for _ in range(2000)]
    blocks = blocks[::100]  # what stays lies among what was freed, up to the end
    before = process.memory_info().rss
    trim_heap()
    assert before - process.memory_info().rss > 60_000_000
    assert len(blocks) == 20


def test_a_c_library_that_cannot_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    trim_heap()
