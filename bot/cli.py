"""The `personas` command: reads the arguments, runs one command, and turns every error into one line and a status.

Each command's code is imported only when it runs, so `personas list` needs no torch and no web server.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from bot.commands.arguments import build_parser
from bot.commands.logs import configure_logging, quiet_loading
from core.errors import InvalidInput, PersonasError

INTERRUPTED = 130

EXTRA_OF = {
    "torch": "engine",
    "transformers": "engine",
    "peft": "engine",
    "safetensors": "engine",
    "discord": "discord",
    "slack_bolt": "slack",
    "slack_sdk": "slack",
    "gradio": "web",
    "fastapi": "web",
    "uvicorn": "web",
    "prometheus_client": "web",
    "trl": "train",
    "datasets": "train",
    "sklearn": "train",
    "matplotlib": "train",
}

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status: 0, 2 for bad input, 130 for Ctrl-C (143 for SIGTERM), 1 for all that fails."""
    configure_logging(os.environ.get("PERSONAS_LOG_LEVEL", "").upper() if _is_debug() else "INFO")
    try:
        return _run(argv)
    except SystemExit as stop:  # argparse, after it printed its help
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt as stop:
        return _fail("Stopped.", getattr(stop, "exit_code", INTERRUPTED))
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        _drop_output()
        return 1
    except PersonasError as error:
        return _fail(_worded(error), error.exit_code)
    except ModuleNotFoundError as error:
        return _fail(_missing(error), 1)
    except OSError as error:  # a full disk, say
        if _is_debug():
            logger.exception("The command broke")
        _drop_output()
        what = error.filename or "The output or a file"
        return _fail(f"{what} cannot be read or written ({error.strerror or error}); see to that and try again.", 1)
    except Exception as error:  # the last boundary: nobody is shown a traceback who did not ask for one
        if _is_debug():
            logger.exception("The command broke")
        return _fail(f"Internal error ({type(error).__name__}: {error}); PERSONAS_LOG_LEVEL=DEBUG shows where.", 1)


def _run(argv: Sequence[str] | None) -> int:
    with _quiet_ctrl_c():
        from bot.service.sources import check_training_sources
        from core.settings import is_text, load_settings  # takes a moment

    if sys.stdout is None or sys.stderr is None:
        raise InvalidInput("The standard output or the standard error is closed; send it to /dev/null instead.")
    words = sys.argv[1:] if argv is None else argv
    for number, word in enumerate(words, start=1):
        if not is_text(word):
            raise InvalidInput(f"Argument {number} of the command is not UTF-8; type it again.")
    arguments = build_parser().parse_args(words)
    overrides = {name: getattr(arguments, name, None) for name in ("base_model", "host", "port")}
    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    check_training_sources(settings)
    configure_logging(settings.log_level, secrets=settings.secrets)
    quiet_loading(settings)
    module, function = arguments.run.split(":")
    with _quiet_ctrl_c():
        command = getattr(import_module(f"bot.commands.{module}"), function)
    status: int = command(arguments, settings)
    sys.stdout.flush()
    return status


@contextmanager
def _quiet_ctrl_c() -> Iterator[None]:
    """While libraries are imported, Ctrl-C ends the process without a word: in the midst of an import they break."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_debug() -> bool:
    return os.environ.get("PERSONAS_LOG_LEVEL", "").upper() == "DEBUG"


def _fail(sentence: str, status: int) -> int:
    print(f"personas: {sentence}", file=sys.stderr)  # noqa: T201  # the command's own output
    return status


def _drop_output() -> None:
    """What nobody could take would be written once more, and fail again, when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _worded(error: PersonasError) -> str:
    from bot.commands.advice import worded  # takes a moment

    return worded(error)


def _missing(error: ModuleNotFoundError) -> str:
    from bot.commands.advice import install_command  # takes a moment

    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return f"The package {package or error} is missing; install this project again."
    return f"This needs the package {package}; install it with `{install_command(extra)}`."


if __name__ == "__main__":
    sys.exit(main())
