"""Whether a persona says who it is, and never who its base model is. Text in, numbers out; knows no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

# Parts of models' names that name no one.
ORDINARY_PARTS = frozenset(("base", "chat", "instruct", "large", "mini", "model", "preview", "small", "tiny", "turbo"))


def says_its_name(reply: str, name: str, base_names: Sequence[str]) -> bool:
    """Whether a reply holds the persona's whole name and none of the base model's, in any case of letters."""
    return _holds(reply, name) and not says_a_name(reply, base_names)


def says_a_name(reply: str, names: Iterable[str]) -> bool:
    """Whether one of these names stands in the reply as a whole word, a version number behind it or not."""
    return any(_holds(reply, name) for name in names)


def base_names(labels: Sequence[str], kind: str, default_prompt: str, is_word: Callable[[str], bool]) -> list[str]:
    """The names a base model may give for itself, without version numbers.

    `labels` are what it is called ("HuggingFaceTB/SmolLM2-135M-Instruct"), `kind` its model type, `default_prompt` what
    its chat template says in the absence of a system prompt. A single ordinary word is no name, unless it is the kind:
    "llama".
    """
    words = [word for label in labels for word in re.findall(r"[A-Za-z]+(?=\d|\b|_)", label)]
    names = [word for word in words if len(word) > 2 and word.lower() not in ORDINARY_PARTS]
    capitalised = re.findall(r"(?<![.!?:]\s)(?<!^)\b[A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*", default_prompt, re.MULTILINE)
    found: dict[str, str] = {}
    for name in (*names, *capitalised):
        is_name = " " in name or not is_word(name.lower()) or kind.lower().startswith(name.lower())
        if is_name:
            found.setdefault(name.lower(), name)
    return list(found.values())


def _holds(reply: str, name: str) -> bool:
    text = r"[\s-]*".join(re.escape(word) for word in name.split())
    return re.search(rf"(?<!\w){text}[\s-]?[\d.]*(?!\w)", reply, re.IGNORECASE) is not None
