"""What passes between the chat and a platform: messages come in, screens show replies. No SDK's type crosses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from bot.chat.buttons import ReplyButtons
from bot.chat.conversation import Transcript
from core.errors import PermissionNeeded, PersonasError
from core.generation import SamplingOverrides
from core.messages import ChatMessage, Quoted

NOT_POSTED = -1  # the page of a reply that only a placeholder stands for


class ScreenGone(PersonasError):
    """The message or its channel does not exist any more."""


class ScreenRefused(PermissionNeeded):
    """The platform does not allow it; the sentence says what is missing."""


class ScreenUnreachable(ScreenRefused):
    """The platform does not answer, however often it is asked; later it may."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform is called and what it can do.

    `source` begins the ids of its people and places, and `name` is what people call it. A message holds at most
    `max_chars` characters. The messages of one channel may change `edits` times in `edits_window_s` seconds.
    `small_print` is how remarks are written, with one {} for the words. `identities` are the ways in which a persona
    can show itself, the plainest first. `has_private_replies`: one person alone can be told something in a channel.
    `wide_place` is what people call the place around all channels.
    """

    source: str
    name: str
    max_chars: int
    edits: int
    edits_window_s: float
    small_print: str
    identities: tuple[str, ...]
    has_private_replies: bool
    wide_place: str = "server"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What the platform shows in a reply's place until there is one, "thinking…"; `token` lets it be changed."""

    message_id: str
    token: str | None


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message that wants a reply, with the conversation it ends.

    `event_id` is unique within `source`, so that an event delivered twice is answered once; `conversation_id` is unique
    over all sources. `model` is the blend spec the client named; None leaves it to the conversation, then to `places`,
    which are named from the narrowest to the widest: thread, channel, server.
    Prompt and reply are kept out of the ledger where `needs_consent` and somebody who is quoted has not agreed, and
    where `needs_permission` and `places` do not let text be kept. `quotes` are the chat messages whose words stand in
    `messages`, the question's own included; they let people take back what they said. `version` is the adapter version
    of a single persona that answers; None leaves it to the registry. `question_id` is the platform's
    id of the message that asks, and `variant_of` an exchange that answers the same question. `transcript` is what the
    platform read, from which `messages` were made; None where the client sent them as they are.
    """

    source: str
    event_id: str
    conversation_id: str
    user_id: str
    messages: tuple[ChatMessage, ...]
    model: str | None = None
    version: int | None = None
    sampling: SamplingOverrides = field(default_factory=SamplingOverrides)
    needs_consent: bool = False
    needs_permission: bool = False
    places: tuple[str, ...] = ()
    variant_of: str | None = None
    question_id: str | None = None
    quotes: tuple[Quoted, ...] = ()
    placeholder: Placeholder | None = None
    is_bot: bool = False
    transcript: Transcript | None = None

    @classmethod
    def ending(
        cls,
        transcript: Transcript,
        *,
        source: str,
        event_id: str,
        user_id: str,
        places: tuple[str, ...],
        needs_permission: bool,
        model: str | None = None,
        sampling: SamplingOverrides | None = None,
        question_id: str | None = None,
        variant_of: str | None = None,
        is_bot: bool = False,
    ) -> Self:
        """The question that a transcript ends with. What people say in a chat is kept with their consent only."""
        return cls(
            source=source,
            event_id=event_id,
            conversation_id=transcript.conversation_id,
            user_id=user_id,
            messages=transcript.messages,
            model=model,
            sampling=sampling or SamplingOverrides(),
            needs_consent=True,
            needs_permission=needs_permission,
            places=places,
            variant_of=variant_of,
            question_id=question_id,
            quotes=transcript.quotes,
            is_bot=is_bot,
            transcript=transcript,
        )


class Screen(Protocol):
    """Where one reply is shown. Waits out rate limits, and repeats what failed for a moment, by itself.

    Each method raises ScreenGone and ScreenRefused, of which ScreenUnreachable is one.
    """

    async def post(self, text: str) -> str:
        """Show a further message; its id."""

    async def edit(self, message_id: str, text: str) -> None:
        """Replace the text of a message."""

    async def remove(self, message_id: str) -> None:
        """Take a message away."""

    async def show_waiting(self, line: str) -> bool:
        """Show where a reply without words stands beside the messages; False where only a message can say it."""


class ReplyScreen(Screen, Protocol):
    """A screen whose messages the ledger notes, with buttons under the last one."""

    buttons: ReplyButtons | None
    """Shown under the last message from now on."""
    on_removing: Callable[[str], Awaitable[None]] | None
    """Told of every message that is about to be taken away."""

    @property
    def header(self) -> str:
        """Stands above the first message: who speaks, where nothing else shows it."""

    @property
    def placeholder(self) -> Placeholder | None:
        """What stands for the first message before it has an id."""

    @property
    def token(self) -> str | None:
        """What the platform wants to see before it lets these messages be edited, where it does."""

    @property
    def moved(self) -> Mapping[str, str]:
        """Which messages others took the place of."""

    @property
    def added(self) -> Sequence[str]:
        """Further messages, which show what one of these could not take any more."""

    @property
    def channel_key(self) -> str:
        """Whose edit budget this screen uses."""

    def is_seldom_edited(self, message_id: str) -> bool:
        """Whether the platform lets this message be edited but seldom."""

    async def show_buttons(self, buttons: ReplyButtons | None) -> None:
        """Put these buttons under the last message, or take them away."""


class ChatPlatform(Protocol):
    """One platform that people chat on: `run` it as a task, and `close` it before the service stops."""

    capabilities: Capabilities

    async def run(self) -> None:
        """Stay connected until `close`. Raises PersonasError where waiting does not help, for a wrong token say."""

    async def close(self) -> None:
        """Let running replies end within the drain time, and leave."""
