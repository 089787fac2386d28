"""The conversation that a question on Discord ends, and what of it could not be read. Knows no Discord."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.chat.conversation import Turn, is_cut
from bot.chat.reply_pages import DROPPED_NOTE
from core.messages import Quoted

PARENT_HIDDEN = 'I cannot read the message you replied to; right-click it, Apps, "Ask a persona about this".'
FILES_UNREAD = "I read text only, so I do not know what is attached."


@dataclass(frozen=True, slots=True)
class Said:
    """The turns up to a question. `quotes` are the chat messages whose words stand in them.

    `is_cut`: there are older ones. `is_parent_hidden`: the question replies to a message whose words Discord does not
    show to the bot. `has_files`: there is more to the question than words.
    """

    conversation_id: str
    turns: tuple[Turn, ...] = ()
    quotes: tuple[Quoted, ...] = ()
    is_cut: bool = False
    is_parent_hidden: bool = False
    has_files: bool = False

    def after(self, *former: Turn, quotes: tuple[Quoted, ...] = ()) -> Said:
        """The same with something that was said before."""
        return replace(self, turns=(*former, *self.turns), quotes=(*quotes, *self.quotes))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What who asks should know about how it was read."""
        remarks = {
            PARENT_HIDDEN: self.is_parent_hidden,
            FILES_UNREAD: self.has_files,
            DROPPED_NOTE: self.is_cut or is_cut(self.turns),
        }
        return tuple(remark for remark, is_due in remarks.items() if is_due)
