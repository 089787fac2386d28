"""What people are called, and who manages the workspace. Asked once, remembered until the program ends."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bot.chat.platform import ScreenGone, ScreenRefused
from bot.slack_chat.calls import attempt
from bot.slack_chat.connection import Connection

MAX_REMEMBERED = 4096
NAMELESS = "somebody"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What does not change from one message to the next."""

    name: str = NAMELESS
    is_bot: bool = False


class People:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[str, Known] = OrderedDict()

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        return {user: (await self._look_up(user)).name for user in users}

    async def is_bot(self, user: str) -> bool:
        return (await self._look_up(user)).is_bot

    async def is_admin(self, user: str) -> bool:
        """Whether this person manages the workspace. Raises ScreenGone and ScreenRefused."""
        facts = await self._facts(user)
        return any(facts.get(role) for role in ("is_admin", "is_owner", "is_primary_owner"))

    async def _look_up(self, user: str) -> Known:
        if user not in self._known:
            try:
                facts = await self._facts(user)
            except (ScreenGone, ScreenRefused) as error:  # the scope users:read is missing, or a bot without a user
                logger.info("Who %s is cannot be looked up: %s", user, error)
                return Known()
            names = ((facts.get("profile") or {}).get("display_name"), facts.get("real_name"), facts.get("name"))
            self._known[user] = Known(next(filter(None, names), NAMELESS), bool(facts.get("is_bot")))
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return self._known[user]

    async def _facts(self, user: str) -> dict[str, Any]:
        found = await attempt(lambda: self._connection.client.users_info(user=user))
        return dict(found["user"])
