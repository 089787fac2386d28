"""A question from Discord with all that belongs to it, and the message that every platform makes of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.chat.conversation import to_messages
from bot.chat.platform import IncomingMessage, Placeholder
from bot.discord_chat.places import SOURCE, is_in_guild
from bot.discord_chat.said import Said
from core.generation import SamplingOverrides


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody's question with all that belongs to it. `places` are where it was asked, the narrowest first."""

    user_id: str
    user_name: str
    event_id: str
    said: Said
    places: tuple[str, ...]
    model: str | None = None
    variant_of: str | None = None
    question_id: str | None = None
    sampling: SamplingOverrides = field(default_factory=SamplingOverrides)
    is_bot: bool = False

    def to_message(self, thinking: Placeholder | None) -> IncomingMessage:
        """`thinking` is what Discord shows already where the answer will stand."""
        names = {turn.name for turn in self.said.turns if turn.role == "user"}
        return IncomingMessage(
            source=SOURCE,
            event_id=self.event_id,
            conversation_id=self.said.conversation_id,
            user_id=self.user_id,
            messages=to_messages(self.said.turns, several_people=len(names) > 1),
            model=self.model,
            sampling=self.sampling,
            needs_consent=True,
            needs_permission=is_in_guild(self.places),  # of its administrators
            places=self.places,
            variant_of=self.variant_of,
            question_id=self.question_id,
            quotes=self.said.quotes,
            placeholder=thinking,
        )
