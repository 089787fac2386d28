"""One thing a person did that the app must acknowledge: a command, a press, a shortcut, a submitted form."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.users import User
from tests.running.patience import TIMEOUT_S

if TYPE_CHECKING:
    from tests.fakes.fake_slack.socket_mode import Envelope
    from tests.fakes.fake_slack.views import View
    from tests.fakes.fake_slack.world import World

TRIGGER_S = 3.0
RESPONSE_URL_S, RESPONSE_URL_USES = 30 * 60.0, 5


@dataclass(eq=False)
class Interaction:
    """`replies` are the messages it brought about: of its response URL, of its acknowledgement, and ephemeral ones
    that the bot posted for its person afterwards."""

    world: World
    user: User
    trigger_id: str
    response_key: str
    channel: Channel | None = None
    message: Message | None = None
    view: View | None = None
    began_at: float = 0.0
    envelope: Envelope | None = None
    response_uses: int = 0
    replies: list[Message] = field(default_factory=list)
    views: list[View] = field(default_factory=list)

    @property
    def response_url(self) -> str:
        return f"{self.world.url}/response/{self.response_key}"

    @property
    def is_acknowledged(self) -> bool:
        return self.envelope is not None and self.envelope.is_acknowledged

    @property
    def response(self) -> Any:
        """What the acknowledgement carried."""
        return None if self.envelope is None else self.envelope.response

    async def wait_acknowledged(self, timeout: float = TIMEOUT_S) -> None:
        await self.world.wait_for(lambda: self.is_acknowledged, timeout, self._describe)

    async def wait_reply(self, timeout: float = TIMEOUT_S) -> Message:
        """The first message that answers it."""
        return (await self.world.wait_for(lambda: self.replies, timeout, self._describe))[0]

    async def wait_modal(self, timeout: float = TIMEOUT_S) -> View:
        return (await self.world.wait_for(lambda: self.views, timeout, self._describe))[-1]

    def _describe(self) -> str:
        said = "" if self.channel is None else self.channel.describe()
        return f"an interaction of {self.user}, acknowledged: {self.is_acknowledged}, {self.response}\n{said}"
