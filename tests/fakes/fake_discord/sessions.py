"""One gateway session: which events it wants, what it was sent, what it still has to be sent. Knows no sockets."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

GUILD_MEMBERS, GUILD_PRESENCES, MESSAGE_CONTENT = 1 << 1, 1 << 8, 1 << 15
# Events by name: the intent they need in a guild, and in a DM. Others need GUILDS, interactions need nothing.
INTENTS = {
    "GUILD_MEMBER_ADD": (1 << 1, 0), "GUILD_MEMBER_REMOVE": (1 << 1, 0), "GUILD_MEMBER_UPDATE": (1 << 1, 0),
    "WEBHOOKS_UPDATE": (1 << 5, 0), "MESSAGE_CREATE": (1 << 9, 1 << 12), "MESSAGE_UPDATE": (1 << 9, 1 << 12),
    "MESSAGE_DELETE": (1 << 9, 1 << 12), "MESSAGE_DELETE_BULK": (1 << 9, 0),
    "MESSAGE_REACTION_ADD": (1 << 10, 1 << 13), "MESSAGE_REACTION_REMOVE": (1 << 10, 1 << 13),
    "MESSAGE_REACTION_REMOVE_ALL": (1 << 10, 1 << 13), "MESSAGE_REACTION_REMOVE_EMOJI": (1 << 10, 1 << 13),
    "TYPING_START": (1 << 11, 1 << 14), "CHANNEL_CREATE": (1 << 0, 1 << 12), "INTERACTION_CREATE": (0, 0),
}  # fmt: skip


@dataclass(eq=False)
class Session:
    intents: int
    shard: int
    shards: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sent: list[dict[str, Any]] = field(default_factory=list)
    cursor: int = 0
    connected: bool = True
    # The socket it is sent through; a RESUME takes it away from the one before.
    socket: object = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, event: str, in_guild: int | None, about_itself: bool) -> bool:
        """`in_guild`: the guild's id, None for a DM. What is about the bot itself needs no privileged intent."""
        if in_guild is not None and (in_guild >> 22) % self.shards != self.shard:
            return False
        if in_guild is None and self.shard != 0:
            return False
        if about_itself and event.startswith("GUILD_MEMBER"):
            return bool(self.intents & 1)
        guilds, dms = INTENTS.get(event, (1, 0))
        needed = guilds if in_guild is not None else dms
        return needed == 0 or bool(self.intents & needed)

    def put(self, event: str, data: dict[str, Any]) -> None:
        self.sent.append({"op": 0, "t": event, "s": len(self.sent) + 1, "d": data})
        self.wake.set()
