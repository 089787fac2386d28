"""What a client sends for a command or a modal: options in their types, resolved objects, and what it won't offer."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_discord.channels import Channel
from tests.fakes.fake_discord.guilds import Role
from tests.fakes.fake_discord.messages import Message
from tests.fakes.fake_discord.users import User
from tests.fakes.fake_discord.world import World

SUBCOMMANDS = (1, 2)
STRING, INTEGER, BOOLEAN, NUMBER, ATTACHMENT = 3, 4, 5, 10, 11


def slash(
    world: World, user: User, channel: Channel, line: str, options: dict[str, Any], focused: str | None = None
) -> tuple[dict[str, Any], bool]:
    """The `data` of a slash command or its autocompletion, and whether it runs by the user's own installation."""
    name, *path = line.removeprefix("/").split()
    command, user_installed = _offered(world, user, channel, name, 1)
    known = command.get("options", [])
    nesting = []
    for step in path:
        found = next((one for one in known if one["name"] == step and one["type"] in SUBCOMMANDS), None)
        assert found is not None, f"/{line}: no subcommand {step!r}"
        nesting.append(found)
        known = found.get("options", [])
    assert not any(one["type"] in SUBCOMMANDS for one in known), f"/{line} needs a subcommand"
    resolved: dict[str, Any] = {}
    given = _fill(line, known, options, focused, resolved)
    for step in reversed(nesting):
        given = [{"name": step["name"], "type": step["type"], "options": given}]
    data: dict[str, Any] = {"id": command["id"], "name": name, "type": 1, "options": given}
    if resolved:
        data["resolved"] = resolved
    return ({**data, "guild_id": command["guild_id"]} if "guild_id" in command else data), user_installed


def context(
    world: World, user: User, channel: Channel, name: str, target: Message | User
) -> tuple[dict[str, Any], bool]:
    """The `data` of a context menu command. A target message arrives whole, whatever the bot's intents."""
    kind = 3 if isinstance(target, Message) else 2
    command, user_installed = _offered(world, user, channel, name, kind)
    resolved: dict[str, Any] = {}
    if isinstance(target, Message):
        resolved["messages"] = {str(target.id): target.payload()}
    else:
        resolved["users"] = {str(target.id): target.payload()}
    data = {"id": command["id"], "name": name, "type": kind, "target_id": str(target.id), "resolved": resolved}
    return data, user_installed


def _offered(world: World, user: User, channel: Channel, name: str, kind: int) -> tuple[dict[str, Any], bool]:
    guild = channel.guild
    command = world.application.find(name, kind, guild.id if guild else None)
    known = [one["name"] for one in world.application.registered(None)]
    assert command is not None, f"there is no command {name!r}; registered are {known}"
    installs = command.get("integration_types") or [0]
    bot_there = guild.with_bot if guild is not None else world.bot in channel.recipients
    by_guild = bot_there and 0 in installs
    by_user = 1 in installs and getattr(user, "has_installed", False)
    assert by_guild or by_user, f"{name!r} is not installed here for {user.name}"
    where = 0 if guild is not None else 1 if world.bot in channel.recipients else 2
    contexts = command.get("contexts")
    assert contexts is None or where in contexts, f"{name!r} is not offered in context {where}"
    needed = command.get("default_member_permissions")
    if guild is not None and by_guild and needed is not None:
        assert channel.permissions_of(user) & int(needed) == int(needed), f"{user.name} may not use {name!r}"
    if guild is not None:
        assert channel.may(user, "use_application_commands"), f"{user.name} may not use commands here"
    return command, not by_guild


def _fill(
    line: str, known: list[dict[str, Any]], options: dict[str, Any], focused: str | None, resolved: dict[str, Any]
) -> list[dict[str, Any]]:
    by_name = {one["name"]: one for one in known}
    for name in options:
        assert name in by_name, f"/{line}: no option {name!r}, but {list(by_name)}"
    filled = []
    for option in known:
        if option["name"] not in options:
            assert not option.get("required") or focused, f"/{line} needs {option['name']!r}"
            continue
        value = options[option["name"]]
        one: dict[str, Any] = {"name": option["name"], "type": option["type"]}
        if option["name"] == focused:
            assert option.get("autocomplete"), f"/{line}: {focused!r} does not autocomplete"
            filled.append({**one, "value": str(value), "focused": True})
            continue
        filled.append({**one, "value": _value(line, option, value, resolved)})
    return filled


def _value(line: str, option: dict[str, Any], value: Any, resolved: dict[str, Any]) -> Any:
    what = f"/{line} {option['name']}={value!r}"
    if isinstance(value, User):
        resolved.setdefault("users", {})[str(value.id)] = value.payload()
    elif isinstance(value, Channel):
        resolved.setdefault("channels", {})[str(value.id)] = {**value.payload(), "permissions": "0"}
    elif isinstance(value, Role):
        resolved.setdefault("roles", {})[str(value.id)] = value.payload()
    else:
        assert _fits(option, value), f"{what} is not accepted"
        return value
    return str(value.id)


def _fits(option: dict[str, Any], value: Any) -> bool:
    kinds = {STRING: str, INTEGER: int, BOOLEAN: bool, NUMBER: int | float}
    if not isinstance(value, kinds.get(option["type"], object)):
        return False
    if option.get("choices") and value not in [choice["value"] for choice in option["choices"]]:
        return False
    size = len(value) if option["type"] == STRING else value
    least = option.get("min_length" if option["type"] == STRING else "min_value")
    most = option.get("max_length" if option["type"] == STRING else "max_value")
    return (least is None or size >= least) and (most is None or size <= most)


def filled_in(modal: dict[str, Any], values: dict[str, Any]) -> list[dict[str, Any]]:
    """The components of a submitted modal. Fields are named by custom_id or label; required ones must be given."""
    left = dict(values)
    filled = [_filled(component, left) for component in modal["components"]]
    assert not left, f"the modal has no {list(left)}"
    return filled


def _filled(component: dict[str, Any], left: dict[str, Any]) -> dict[str, Any]:
    head = {"type": component["type"], "id": component.get("id", 1)}
    if component["type"] == 1:
        return {**head, "components": [_field(inner, inner.get("label"), left) for inner in component["components"]]}
    if component["type"] == 18:
        return {**head, "component": _field(component["component"], component["label"], left)}
    return head


def _field(field: dict[str, Any], label: str | None, left: dict[str, Any]) -> dict[str, Any]:
    shown = {"type": field["type"], "id": field.get("id", 1), "custom_id": field["custom_id"]}
    key = next((name for name in (field["custom_id"], label) if name in left), None)
    needed = field.get("required", True)
    if field["type"] == 4:
        value = left.pop(key) if key is not None else field.get("value") or ""
        assert value or not needed, f"{label or field['custom_id']!r} is required"
        assert len(value) <= (field.get("max_length") or 4000), f"{label!r} is too long"
        assert not value or len(value) >= (field.get("min_length") or 0), f"{label!r} is too short"
        return {**shown, "value": value}
    value = left.pop(key) if key is not None else [] if field["type"] in (3, 5, 6, 7, 8, 19, 22) else None
    assert value or not needed or field["type"] == 23, f"{label or field['custom_id']!r} is required"
    return {**shown, "values" if isinstance(value, list) else "value": value}
