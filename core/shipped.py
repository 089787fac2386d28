"""Where the folders lie that the project ships beside its code. Only a training that bundles writes into them.

Clones and editable installs have them at the top of the repository. A wheel has them below core/, because a `personas`
or a `migrations` at the top of site-packages would meet those of others; pyproject.toml maps them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

CORE = Path(__file__).resolve().parent


def shipped_folder(name: Literal["migrations", "personas"]) -> Path:
    """Where the folder of this name lies, absolute, symlinks followed."""
    in_wheel = CORE / "_shipped" / name
    return in_wheel if in_wheel.is_dir() else CORE.parent / name
