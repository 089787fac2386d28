"""The application behind the bot: its intents, and the commands it has registered. Knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.fake_discord.users import User

if TYPE_CHECKING:
    from tests.fakes.fake_discord.world import World

# Flags of an application with fewer than 10,000 users that was given the privileged intents.
PRESENCE_LIMITED, MEMBERS_LIMITED, CONTENT_LIMITED = 1 << 13, 1 << 15, 1 << 19


class Application:
    def __init__(self, world: World, application_id: int, name: str) -> None:
        self.world = world
        self.id = application_id
        self.name = name
        self.message_content = False
        self.server_members = False
        self.presences = False
        self.owner = User(world.next_id(), "owner")
        # None stands for the global commands.
        self.commands: dict[int | None, dict[int, dict[str, Any]]] = {None: {}}
        self.command_writes = 0

    @property
    def flags(self) -> int:
        flags = MEMBERS_LIMITED if self.server_members else 0
        flags |= PRESENCE_LIMITED if self.presences else 0
        return flags | (CONTENT_LIMITED if self.message_content else 0)

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id), "name": self.name, "icon": None, "description": "", "type": None,
            "verify_key": "0" * 64, "flags": self.flags, "flags_new": str(self.flags), "redirect_uris": [],
            "interactions_endpoint_url": None, "role_connections_verification_url": None,
            "owner": self.owner.payload(), "approximate_guild_count": len(self.world.guilds),
            "approximate_user_install_count": 0, "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0, "team": None, "eligible_oauth2_scopes": [], "bot_public": True,
            "bot_require_code_grant": False, "bot": self.world.bot.payload(),
            "integration_types_config": {"0": {}, "1": {}},
        }  # fmt: skip

    def registered(self, guild_id: int | None) -> list[dict[str, Any]]:
        return list(self.commands.get(guild_id, {}).values())

    def find(self, name: str, kind: int, guild_id: int | None) -> dict[str, Any] | None:
        """A command as a client would offer it: the guild's own before the global one."""
        for scope in (guild_id, None):
            for command in self.registered(scope):
                if command["name"] == name and command["type"] == kind:
                    return command
        return None

    def write(self, guild_id: int | None, body: dict[str, Any], keep: dict[str, Any] | None = None) -> dict[str, Any]:
        """Stores one command as Discord does: defaults filled in, a new version, the old id where it replaces one."""
        kind = body.get("type") or (keep or {}).get("type", 1)
        known = keep or next(
            (old for old in self.registered(guild_id) if (old["name"], old["type"]) == (body.get("name"), kind)), None
        )
        command = {
            "default_member_permissions": None, "description": "", "nsfw": False, "dm_permission": True,
            "integration_types": [0], "contexts": None, **(keep or {}), **_without_nulls(body), "type": kind,
            "id": known["id"] if known else str(self.world.next_id()), "application_id": str(self.id),
            "version": str(self.world.next_id()),
        }  # fmt: skip
        permissions = body.get("default_member_permissions", command["default_member_permissions"])
        command["default_member_permissions"] = None if permissions is None else str(permissions)
        if guild_id is not None:
            command["guild_id"] = str(guild_id)
        self.commands.setdefault(guild_id, {})[int(command["id"])] = command
        return command


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
