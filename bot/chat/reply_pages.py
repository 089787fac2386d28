"""What the messages of a reply say, from its place in line to its last word. Pure; knows no chat platform."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import ceil

from bot.chat.graphemes import shortened
from bot.chat.message_split import Page, split_message, split_pages
from core.messages import ReplyChunk
from core.queue.jobs import QueuePosition

FIRST_SIGN = "…"
DROPPED_NOTE = "Older messages were left out."
STOPPED_NOTE = "(stopped)"
EMPTY_NOTE = "(no words)"
THOUGHTS_NOTE = "Thoughts: {}"
MAX_THOUGHTS_CHARS = 600
MINUTES_FROM_S = 100

# What calls people on Discord or Slack: "@everyone", "<@17>", "<@&17>", "<!here>".
_CALL = re.compile(
    r"@(?=everyone|here|channel)|(?<=<)(?:@(?=[!&]?\w)|!(?=everyone|here|channel|group|subteam))", re.IGNORECASE
)
# What may become such a call, or the beginning of one, once markdown is read: "&lt;!here>", "<\\!here>", "[x](!here)".
_OPENING = re.compile(r"<(?=[\\&])|&(?:lt|#0*60|#x0*3c);?(?=[\\@!#&])|\]\(\s*<?(?=[\\@!#&])", re.IGNORECASE)
_WAITING = re.compile(rf"{FIRST_SIGN}|\d+(?:st|nd|rd|th) in line(?:, about \d+ (?:s|min))?")
_ZERO_WIDTH_SPACE = "\u200b"


@dataclass(frozen=True, slots=True)
class ReplyPages:
    """`limit` is the longest message in characters, `small_print` how the platform writes remarks.

    `remarks` are lines that stand under the reply once it has ended, behind what the model thought, where people are
    to see that.
    """

    limit: int
    header: str = ""
    small_print: str = "{}"
    remarks: tuple[str, ...] = ()

    def of(self, text: str, last: ReplyChunk | None, position: QueuePosition | None, thoughts: str = "") -> list[str]:
        """The texts of `pages_of`."""
        return [page.text for page in self.pages_of(text, last, position, thoughts)]

    def pages_of(
        self, text: str, last: ReplyChunk | None, position: QueuePosition | None, thoughts: str = ""
    ) -> list[Page]:
        """The messages that show `text`, what has been written so far; at least one, none empty.

        `last` is the reply's last chunk once it has ended. Before the first word the place in line is shown. The pages
        before the last one stay as they are while the text grows. Head and tail of each are marks of ours.
        """
        is_silent = not split_message(text, self.limit)
        notes = [] if last is None else self._notes(last, thoughts, is_silent=is_silent)
        if is_silent:
            return [Page(page.text, len(page.text)) for page in self._split("\n".join(notes) or waiting_line(position))]
        pages = self._split(text)
        for note in notes:
            last_page = pages[-1]
            longer = replace(last_page, text=f"{last_page.text}\n{note}", tail=last_page.tail + 1 + len(note))
            if len(longer.text) <= self.limit:
                pages[-1] = longer
            else:
                pages += [Page(part, len(part)) for part in split_message(note, self.limit)]
        return pages

    def _split(self, text: str) -> list[Page]:
        header = without_calls(self.header)
        pages = split_pages(f"{header}\n{without_calls(text)}", self.limit)
        if header and pages:
            pages[0] = replace(pages[0], head=min(len(header) + 1, len(pages[0].text)))
        return pages

    def _notes(self, last: ReplyChunk, thoughts: str, *, is_silent: bool) -> list[str]:
        notes = []
        if last.finish_reason == "cancelled":
            notes.append(STOPPED_NOTE)
        if last.error:
            notes.append(without_calls(last.error))
        if is_silent and not notes:
            notes.append(EMPTY_NOTE)
        remarks = [without_calls(thoughts_note(thoughts))] if thoughts.strip() else []
        remarks += [*self.remarks, DROPPED_NOTE] if last.dropped else self.remarks
        return notes + [self.small_print.format(remark) for remark in dict.fromkeys(remarks)]


def thoughts_note(thoughts: str) -> str:
    """What the model thought, as a remark: one line that is not too long, and opens no code."""
    line = " ".join(thoughts.replace("`", "'").split())
    return THOUGHTS_NOTE.format(line if len(line) <= MAX_THOUGHTS_CHARS else f"{shortened(line, MAX_THOUGHTS_CHARS)}…")


def waiting_line(position: QueuePosition | None) -> str:
    """Where a reply stands that has no words yet: "2nd in line, about 6 s"."""
    if position is None or position.position == 0:
        return FIRST_SIGN
    place = f"{_ordinal(position.position + 1)} in line"
    if position.estimated_wait_s is None:
        return place
    wait_s = max(1, ceil(position.estimated_wait_s))
    return f"{place}, about {wait_s} s" if wait_s < MINUTES_FROM_S else f"{place}, about {round(wait_s / 60)} min"


def is_waiting_line(text: str) -> bool:
    """Whether this is what a reply shows that has no words yet."""
    return _WAITING.fullmatch(text) is not None


def without_calls(text: str) -> str:
    """`text` with every mention made harmless by an invisible space, so that it pings nobody."""
    for call in (_CALL, _OPENING):
        text = call.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", text)
    return text


def with_calls(text: str) -> str:
    """The text that `without_calls` made harmless."""
    return re.sub(rf"([@!]){_ZERO_WIDTH_SPACE}", r"\1", text)


def own_words(shown: str, head: int, tail: int) -> str:
    """A page's part of the reply, from what its message shows."""
    return with_calls(shown[head : len(shown) - tail]).strip("\n")


def _ordinal(number: int) -> str:
    teens = 10 <= number % 100 < 20
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
