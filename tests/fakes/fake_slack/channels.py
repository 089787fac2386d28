"""One conversation: a public or private channel, or a direct message."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.users import User
from tests.running.patience import TIMEOUT_S

if TYPE_CHECKING:
    from tests.fakes.fake_slack.world import World

T = TypeVar("T")
HISTORY_SCOPES = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
READ_SCOPES = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}


@dataclass(eq=False)
class Channel:
    """`kind` is Slack's channel_type: channel, group (a private channel) or im. `everything` holds deleted and
    ephemeral messages too, in order."""

    world: World
    id: str
    kind: str
    name: str = ""
    members: list[User] = field(default_factory=list)
    everything: list[Message] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    titles: list[dict[str, Any]] = field(default_factory=list)
    is_archived: bool = False

    @property
    def has_bot(self) -> bool:
        return self.world.bot in self.members

    @property
    def messages(self) -> list[Message]:
        """What everybody in it sees, threads included."""
        return [one for one in self.everything if not one.is_deleted and one.only_for is None]

    @property
    def from_bot(self) -> list[Message]:
        return [one for one in self.messages if one.author is self.world.bot]

    @property
    def ephemeral(self) -> list[Message]:
        return [one for one in self.everything if one.only_for is not None and not one.is_deleted]

    def thread(self, root: Message | str) -> list[Message]:
        """A thread's messages, its first included."""
        ts = root.root_ts if isinstance(root, Message) else root
        return [one for one in self.messages if one.root_ts == ts]

    def status_of(self, thread: Message | str) -> str:
        """What the agent says it is doing in a thread; "" for nothing."""
        ts = thread.root_ts if isinstance(thread, Message) else thread
        found = [one for one in self.statuses if one.get("thread_ts") in (ts, None)]
        return found[-1]["status"] if found else ""

    async def wait_for(self, condition: Callable[[list[Message]], T], timeout: float = TIMEOUT_S) -> T:
        """The first true value of a condition on the messages that everybody sees."""
        return await self.world.wait_for(lambda: condition(self.messages), timeout, self.describe)

    def describe(self) -> str:
        return "\n".join([f"in {self.name or self.kind}:", *(one.line() for one in self.everything)])

    def find(self, ts: str) -> Message | None:
        return next((one for one in self.everything if one.ts == ts and not one.is_deleted), None)

    def thread_facts(self, message: Message) -> dict[str, Any]:
        """What Slack adds to a message with replies, or to a reply."""
        if message.thread_ts is not None and message.thread_ts != message.ts:
            root = self.find(message.thread_ts)
            is_known = root is not None and not root.is_customized
            return {"parent_user_id": root.author.id} if root is not None and is_known else {}
        replies = [one for one in self.thread(message.ts) if one.ts != message.ts] if message.only_for is None else []
        if not replies:
            return {}
        users = list(dict.fromkeys(one.author.id for one in replies))
        return {
            "thread_ts": message.ts, "reply_count": len(replies), "reply_users": users,
            "reply_users_count": len(users), "latest_reply": replies[-1].ts, "subscribed": False,
        }  # fmt: skip

    def payload(self) -> dict[str, Any]:
        if self.kind == "im":
            person = next((one for one in self.members if one is not self.world.bot), self.world.bot)
            return {
                "id": self.id, "created": 1_700_000_000, "is_im": True, "is_org_shared": False, "user": person.id,
                "is_archived": self.is_archived, "is_user_deleted": person.is_deleted, "priority": 0,
            }  # fmt: skip
        nothing = {"value": "", "creator": "", "last_set": 0}
        return {
            "id": self.id, "name": self.name, "is_channel": self.kind == "channel", "is_group": self.kind == "group",
            "is_im": False, "is_mpim": False, "is_private": self.kind == "group", "created": 1_700_000_000,
            "is_archived": self.is_archived, "is_general": self.name == "general", "unlinked": 0,
            "name_normalized": self.name, "is_shared": False, "is_org_shared": False, "is_ext_shared": False,
            "creator": self.members[0].id if self.members else self.world.bot.id, "is_member": self.has_bot,
            "pending_shared": [], "is_pending_ext_shared": False, "shared_team_ids": [self.world.team_id],
            "topic": nothing, "purpose": nothing, "previous_names": [],
        }  # fmt: skip

    # what tests do to it

    def invite_bot(self) -> None:
        self.world.join(self, self.world.bot)

    def remove_bot(self) -> None:
        self.world.leave(self, self.world.bot)

    def archive(self) -> None:
        self.is_archived = True
        self.world.emit(f"{self.kind}_archive", {"channel": self.id, "user": self.world.bot.id}, self)

    def delete(self) -> None:
        """The channel goes, and what was said in it."""
        self.world.channels.pop(self.id)
        self.world.emit(f"{self.kind}_deleted", {"channel": self.id}, self)
        self.world.touch()
