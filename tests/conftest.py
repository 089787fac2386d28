"""Every test runs offline and leaves the user's environment alone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.running.warm_process import warm_python

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

def pytest_configure(config: pytest.Config) -> None:
    warm = warm_python()
    warm.__enter__()
    config.add_cleanup(lambda: warm.__exit__(None, None, None))
