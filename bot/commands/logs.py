"""What is logged, and how. Called once, by the command."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.log_pace import OncePerSecond
from core.gguf_path import is_gguf
from core.text_check import without_controls

if TYPE_CHECKING:
    from core.settings import Settings

LIBRARIES = (
    "alembic",
    "asyncio",
    "datasets",
    "discord",
    "gradio",
    "httpcore",
    "httpx",
    "matplotlib",
    "slack_bolt",
    "slack_sdk",
    "transformers",
    "trl",
    "uvicorn",
)
# The one warns about kernels on the hub, which this project never fetches, the other of each retry without a network.
CHATTY = ("bitsandbytes", "huggingface_hub")
HIDDEN = "***"
INDENT = "    "  # before the further lines of a message
# What Discord hands out for one webhook, interaction or session, and Slack for one socket or answer; at DEBUG, their
# libraries show these.
PASSING_TOKENS = re.compile(
    r"""(ticket=)[^&\s"']+|(hooks\.slack\.com/)[^\s"']+|"""
    r"""(?<=/webhooks/)(\d+/)[\w.-]+|(?<=/interactions/)(\d+/)[\w.-]+|(["'](?:token|session_id)["']: ["'])[^"']+"""
)


class SecretFormatter(logging.Formatter):
    """Writes a record, traceback and all, without the secrets: whatever was logged, no token leaves through here.

    Words of strangers, such as a file's name, may stand in a message: they steer no terminal and begin no line.
    """

    def __init__(self, layout: str, secrets: Collection[str]) -> None:
        super().__init__(layout, datefmt="%H:%M:%S")
        self._secrets = tuple(secret for secret in secrets if secret)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return super().formatMessage(record).replace("\n", f"\n{INDENT}")

    def format(self, record: logging.LogRecord) -> str:
        text = without_controls(super().format(record))
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return PASSING_TOKENS.sub(lambda found: "".join(filter(None, found.groups())) + HIDDEN, text)


class _WithoutTraceback(logging.Filter):
    """discord.py tells of every lost connection with a traceback; the sentence is enough, it connects again."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] == "discord" and "connect" in str(record.msg):
            record.exc_info = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def configure_logging(level: str, *, is_quiet: bool = False, secrets: Collection[str] = ()) -> None:
    """Log to stderr: our own lines from `level` on (only errors when quiet), the libraries' warnings and worse.

    At DEBUG everything is shown, Python's warnings included; else those are for developers and stay away. `secrets`
    are never shown.
    """
    is_debug = level == "DEBUG"
    handler = logging.StreamHandler()
    layout = "%(asctime)s %(levelname)-7s %(name)s: %(message)s" if is_debug else "%(asctime)s %(message)s"
    handler.setFormatter(SecretFormatter(layout, secrets))
    if not is_debug:
        handler.addFilter(_WithoutTraceback())
        handler.addFilter(OncePerSecond((*LIBRARIES, *CHATTY)))
    logging.basicConfig(level=logging.ERROR if is_quiet and not is_debug else level, handlers=[handler], force=True)
    if is_debug:
        return
    warnings.simplefilter("ignore")
    for name in (*LIBRARIES, *CHATTY):
        is_error_only = is_quiet or name in CHATTY
        logging.getLogger(name).setLevel(logging.ERROR if is_error_only else logging.WARNING)


def quiet_loading(settings: Settings) -> None:
    """No progress bars where the model's files are here and load in a moment; a download keeps its own.

    Called before the libraries are imported, because they look only then.
    """
    if settings.log_level != "DEBUG":
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # it sets its own level when it is imported
    if is_gguf(settings.base_model) or Path(settings.base_model_path).is_dir():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")  # transformers draws its own bar while it dequantises
