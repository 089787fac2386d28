"""What a warm Python forks is, to a test, as the process it stands for: the same streams, status and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.running.warm_process import WarmProcess

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells when another's child has ended")

SHOW = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["WORD"], len(os.environ), os.getsid(0) == os.getpid(), sys.stdin.read())
print("an error", file=sys.stderr)
sys.exit(3)
"""
WAIT = "import sys; print('there', flush=True); sys.stdin.read()"
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def start(kind, arguments, **options):
    if kind == "fresh":
        return subprocess.Popen([sys.executable, *arguments], **PIPES, **options)
    return WarmProcess(arguments, "light", **PIPES, **options)


@pytest.mark.parametrize("is_leader", [False, True])
def test_it_has_the_arguments_the_environment_the_folder_and_the_streams_it_was_given(tmp_path, is_leader):
    options = {"cwd": tmp_path, "env": {**os.environ, "WORD": "zen"}, "start_new_session": is_leader}
    ends = []
    for kind in ("fresh", "warm"):
        with start(kind, ["-c", SHOW, "one", "\udcff"], **options) as process:
            ends.append((*process.communicate("typed"), process.wait()))
    assert ends[0] == ends[1]
    assert ends[1][2] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_is_its_status(number):
    ends = []
    for kind in ("fresh", "warm"):
        with start(kind, ["-c", WAIT]) as process:
            assert process.stdout.readline() == "there\n"
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
            process.send_signal(number)
            ends.append(process.wait(60))
    assert ends == [-number, -number]


def test_what_tests_side_by_side_is_forked_from_one_that_has_read_the_tests():
    if "PYTEST_XDIST_WORKER" not in os.environ:  # asked here: this file was read before there were such processes
        pytest.skip("only processes side by side are forked")
    assert "tests.running.warm_python" in psutil.Process().parent().cmdline()
