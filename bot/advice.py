"""What sentences tell people to type, so that it works here as it stands. Knows no commands and runs nothing."""

from __future__ import annotations

import shlex
import sys

from core.settings import DEMO_MODEL, ROOT


def base_option(base_model: str) -> str:
    """The end of a command that is about this base model; empty for the bundled one, which needs no naming."""
    return "" if base_model == DEMO_MODEL else f" --base {shlex.quote(base_model)}"


def train_command(slug: str, base_model: str) -> str:
    """What gives a persona an adapter for this base model."""
    return f"personas train {slug}{base_option(base_model)}"


def install_command(extra: str) -> str:
    """What installs an extra of this project into the environment that runs it: no index has the project itself."""
    return shlex.join([sys.executable, "-m", "pip", "install", "-e", f"{ROOT}[{extra}]"])
