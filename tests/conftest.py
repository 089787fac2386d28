"""Every test runs offline and leaves the user's environment alone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.running.warm_process import FORKED_PYTHON, VARIABLE, warm_python

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for name in [name for name in os.environ if name.startswith("PERSONAS_") and not name.startswith("PERSONAS_TEST_")]:
    del os.environ[name]
# As in an activated environment, so that sentences name commands in the same way wherever the tests run.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# A script that starts the tests with "&" has them ignore Ctrl-C, and nohup a hangup; some of them send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Machines are shared and slow at times: what is tested is never how fast an example runs.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("shared"), max_examples=10)
settings.load_profile("shared")

# What tests do all the time, where they don't wait for sockets, databases and pauses. Those with a real model wait for
# the same memory, two side by side.
KINDS = {
    "real model": ("tests/acceptance/", "tests/browser/"),
    "computing": ("tests/integration/engine/", "tests/integration/training/"),
    "cheap": ("tests/unit/",),
}


def pytest_configure(config: pytest.Config) -> None:
    warm = warm_python(config.invocation_params.args)
    warm.__enter__()
    config.add_cleanup(lambda: warm.__exit__(None, None, None))
    if VARIABLE in os.environ and getattr(config.option, "tx", None):
        # Processes that test side by side are forked, too, from one that has read the tests.
        config.option.tx = [f"popen//python={FORKED_PYTHON}" if one == "popen" else one for one in config.option.tx]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For processes side by side: files that compute lie evenly between those that wait, and cheap ones at the end."""
    if not hasattr(config, "workerinput"):
        return
    kinds: dict[str, list[str]] = {kind: [] for kind in (*KINDS, "waiting")}
    for file in dict.fromkeys(_file(item) for item in items):
        kinds[next((kind for kind, folders in KINDS.items() if file.startswith(folders)), "waiting")].append(file)
    place = {file: number / len(files) for files in kinds.values() for number, file in enumerate(files)}
    place |= {file: 0.8 * place[file] for file in kinds["real model"]}  # so that no long one is the last
    place |= {file: 0.9 * place[file] for file in kinds["computing"]}
    place |= dict.fromkeys(kinds["cheap"], 1.0)
    items.sort(key=lambda item: place[_file(item)])  # in a file, and among equals, the order stays


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
