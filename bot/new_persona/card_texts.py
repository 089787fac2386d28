"""Makes texts of a character card fit for a persona's files: plain characters, no macros, no special tokens. Pure."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from core.persona_names import BLANKS, can_be_shown

USER = "\0"  # stands for the user until it is known how the text names them; no cleaned text holds it
USER_MACROS, CHAR_MACROS = frozenset({"user"}), frozenset({"char", "bot"})
CHOICE_MACROS = frozenset({"random", "pick"})
COMMENT_MACROS = frozenset({"//", "comment", "hidden_key"})
MACRO_DEPTH = 5
MAX_MACROS_NAMED = 5

# Control characters, halves of surrogate pairs, and what turns the direction of writing, as a name may do to deceive.
_UNWANTED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MACRO = re.compile(r"\{\{([^{}]*)\}\}|<(user|bot|char)>", re.IGNORECASE)
_SPECIAL_TOKEN = re.compile(
    r"<(?=[|｜])|<(?=<?/?(?:s|sys|unk|pad|bos|eos|mask|start_of_turn|end_of_turn|start_of_image|end_of_image|image"
    r"|repo_name|reponame|file_sep|filename|gh_stars|issue_\w{1,20}|jupyter_\w{1,20}|empty_output)>)|\[(?=/?INST\])",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[@*`~|<>{}\[\]\\]|_{2,}|://|^[\s#>-]+")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’*)]*(?=\s)")


class CardTexts:
    """Texts of one card, under the name of its character; counts what had to be changed in them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._dropped = 0
        self._special: Counter[str] = Counter()
        self._macros: Counter[str] = Counter()

    def described(self, text: str) -> str:
        """A text about the character: the person who talks to it is "the user"."""
        text = re.sub(rf"(^|[.!?]\s+){USER}", r"\1The user", self._expanded(text))
        return self._spelled_apart(text.replace(USER, "the user"))

    def spoken(self, text: str) -> str:
        """A text the character says: the person who talks to it is "you", and called by no name."""
        text = re.sub(rf"{USER}['’]s\b", "your", self._expanded(text))
        text = re.sub(rf",[ \t]*{USER}(?=\s*(?:[.!?…~,;\"”*]|$))", "", text, flags=re.MULTILINE)
        text = re.sub(rf"(^|[.!?…\"“*]\s*){USER},[ \t]*(\w)", lambda found: found[1] + found[2].upper(), text)
        text = re.sub(rf"(^|[.!?…]\s+){USER}", r"\1You", text)
        return self._spelled_apart(text.replace(USER, "you"))

    @property
    def changes(self) -> list[str]:
        """What was changed, a line each."""
        lines = []
        if self._dropped:
            lines.append(f"Characters that are no text were dropped: {self._dropped}.")
        if self._special:
            token = next(iter(self._special))
            lines.append(f"Special tokens of models were spelled apart, such as {token}: {self._special.total()}.")
        if self._macros:
            named = ", ".join(f"{{{{{name}}}}}" for name in list(self._macros)[:MAX_MACROS_NAMED])
            rest = ", ..." if len(self._macros) > MAX_MACROS_NAMED else ""
            lines.append(f"Macros that mean nothing here were left out: {named}{rest}.")
        return lines

    def _expanded(self, text: str) -> str:
        text = self._cleaned(text)
        for _ in range(MACRO_DEPTH):  # macros may hold macros
            text, count = _MACRO.subn(self._meaning, text)
            if not count:
                break
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def _cleaned(self, text: str) -> str:
        text, count = _UNWANTED.subn("", text.replace("\r\n", "\n").replace("\r", "\n"))
        self._dropped += count
        return text

    def _meaning(self, found: re.Match[str]) -> str:
        name, _, given = (found[1] or found[2] or "").strip().partition(":")
        name = name.strip().lower()
        if name in USER_MACROS:
            return USER
        if name in CHAR_MACROS:
            return self._name
        if name in CHOICE_MACROS:
            return re.split(r"::|,", given.lstrip(":"))[0].strip()
        if name == "newline":
            return "\n"
        if name != "trim" and not name.startswith(tuple(COMMENT_MACROS)):
            self._macros[one_line(name)[:20]] += 1
        return ""

    def _spelled_apart(self, text: str) -> str:
        """As the engine spells apart what people write, so that a row which quotes such a token can be trained on."""
        return _SPECIAL_TOKEN.sub(partial(self._spell_apart, text), text)

    def _spell_apart(self, text: str, found: re.Match[str]) -> str:
        token = re.match(r"[<\[][^\s>\]]{0,20}[>\]]?", text[found.start() : found.start() + 24])
        self._special[token[0] if token else found[0]] += 1
        return f"{found[0]} "


def plain_name(text: str) -> str:
    """A name on one line that no chat platform reads as a mention, link or markup; empty when nothing else is left."""
    return one_line(_MARKUP.sub(" ", one_line(text)))


def one_line(text: str) -> str:
    """The text on one line, without control characters and those that show nothing."""
    kept = (one for one in _UNWANTED.sub(" ", text) if can_be_shown(one) and one not in BLANKS)
    return " ".join("".join(kept).split())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, cut after a sentence where one ends in the second half, else after a word."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    ends = [found.end() for found in _SENTENCE_END.finditer(head)]
    if ends and ends[-1] >= limit // 2:
        return head[: ends[-1]]
    words = head.rsplit(maxsplit=1)
    return f"{words[0] if len(words) == 2 and len(words[0]) >= limit // 2 else head}…"
