"""Which modules the fields of a PEFT config mean. A file comes from anybody, so no regular expression of it is run.

PEFT takes such fields for regular expressions. Nearly all that are written are names, "q_proj" or
"layers.1.self_attn.q_proj", and those mean the same without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import AdapterRejected

# Every key is compared with every module.
MAX_NAMES = 4096
# What PEFT or its users put into an expression: by module, and a whole field.
BY_MODULE = ("alpha_pattern", "rank_pattern")
WHOLE = ("target_modules", "exclude_modules", "layers_pattern")
NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def check_names(adapter: str, config: Mapping[str, Any]) -> None:
    """Raises AdapterRejected for a field that holds anything but names of modules, or ends of them."""
    for field in (*BY_MODULE, *WHOLE):
        value = config.get(field) or ()
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, dict | list | tuple):
            raise AdapterRejected(f"{field} of adapter {adapter} holds no names of modules; save the adapter again.")
        if len(names) > MAX_NAMES:
            raise AdapterRejected(
                f"{field} of adapter {adapter} holds more than {MAX_NAMES} names; this is no adapter."
            )
        for name in names:
            if not isinstance(name, str) or not _is_name(name):
                raise AdapterRejected(
                    f"{field} of adapter {adapter} holds {str(name)[:80]!r}, which is no plain name of a module;"
                    ' regular expressions from files are not run, so write names such as "q_proj" or'
                    ' "layers.1.self_attn.q_proj".'
                )


def first_match(pattern: Mapping[str, Any], module: str) -> str | None:
    """The first key that names the module or ends its path, as in PEFT's `get_pattern_key`; "^" begins a whole path."""
    return next((key for key in pattern if _is_meant(key, module)), None)


def _is_name(text: str) -> bool:
    name = _plain(text).removeprefix("^")
    return bool(name) and NAME_SIGNS.issuperset(name)


def _is_meant(key: str, module: str) -> bool:
    name = _plain(key)
    if name.startswith("^"):
        return module == name[1:]
    return module == name or module.endswith(f".{name}")


def _plain(text: str) -> str:
    """The name without the signs that an expression needs around it: an escaped dot and an end."""
    return text.replace("\\.", ".").removesuffix("$")
