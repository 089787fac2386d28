"""What people are told to type, so that it works here as it stands: advice in the words of the command line.

Help texts call the program `personas`, as its documentation does; everything else that names a command asks here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from core.advice import ForcePromotion, InstallPackage, ListVersions, UpgradeDatabase
from core.default_model import DEFAULT_MODEL
from core.errors import PersonasError
from core.settings import ROOT

PROGRAM = "personas"
PROJECT = "plug-and-play-personas"


def worded(error: PersonasError) -> str:
    """The error's sentence, ending with what to type where something helps."""
    match error.advice:
        case UpgradeDatabase():
            help_text = f"run `{personas_command('db', 'upgrade')}`"
        case ListVersions(persona):
            help_text = f"`{personas_command('versions', persona)}` lists what there is"
        case ForcePromotion():
            help_text = "--force promotes it all the same, which is recorded"
        case InstallPackage(requirement, has_dependencies):
            help_text = f"`{_pip_install(*(() if has_dependencies else ('--no-deps',)), requirement)}` installs it"
        case None:
            return str(error)
    return f"{str(error).removesuffix('.')}; {help_text}."


def personas_command(*words: str) -> str:
    """A line that runs this program: by its name where the shell finds it, else by the shorter path to it."""
    own = Path(sys.executable).with_name(PROGRAM)
    if shutil.which(PROGRAM) is not None or not own.exists():
        return shlex.join([PROGRAM, *words])
    near = os.path.relpath(own)
    near = near if "/" in near else f"./{near}"  # a bare name would be looked up
    return shlex.join([min(near, str(own), key=len), *words])


def base_option(base_model: str) -> tuple[str, ...]:
    """The end of a command that is about this base model; empty for the default one, which needs no naming."""
    return () if base_model == DEFAULT_MODEL else ("--base", base_model)


def train_command(slug: str, base_model: str) -> str:
    """What gives a persona an adapter for this base model."""
    return personas_command("train", slug, *base_option(base_model))


def install_command(extra: str) -> str:
    """What installs an extra of this project into the environment that runs it.

    No index has the project itself: a clone is named by its folder, and of a wheel pip knows the extras by its name.
    """
    is_clone = (ROOT / "pyproject.toml").is_file()
    project = ["-e", f"{ROOT}[{extra}]"] if is_clone else [f"{PROJECT}[{extra}]"]
    return _pip_install(*project)


def _pip_install(*words: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *words])
