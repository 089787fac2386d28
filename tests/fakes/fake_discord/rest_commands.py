"""Application commands over REST, global and of a guild. Every write is counted: a tidy bot makes few."""

from __future__ import annotations

import re
from typing import Any

from tests.fakes.fake_discord.refusals import invalid_form, missing_access, too_long, unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.world import number

GLOBAL = "/applications/{application_id}/commands"
OF_GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"
MOST = {1: 100, 2: 15, 3: 15}
NAME = re.compile(r"^[-_'\w]{1,32}$")


def _scope(call: Call) -> int | None:
    if number(call.ids["application_id"]) != call.world.application.id:
        raise missing_access()
    return call.world.guild_for_bot(call.ids["guild_id"]).id if "guild_id" in call.ids else None


def _check(command: dict[str, Any], field: str) -> None:
    kind, name = command.get("type") or 1, command.get("name", "")
    if kind == 1:
        if not NAME.match(name) or name != name.lower():
            raise invalid_form(f"{field}.name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
        if not 1 <= len(command.get("description") or "") <= 100:
            raise too_long(f"{field}.description", 100)
    elif not 1 <= len(name) <= 32:
        raise too_long(f"{field}.name", 32)
    _check_options(command.get("options") or [], field)


def _check_options(options: list[dict[str, Any]], field: str) -> None:
    if len(options) > 25:
        raise too_long(f"{field}.options", 25)
    optional = False
    for index, option in enumerate(options):
        where = f"{field}.options.{index}"
        if option["type"] > 2 and option.get("required") and optional:
            message = "Required options must be placed before non-required options"
            raise invalid_form(where, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        optional = optional or not option.get("required")
        if not 1 <= len(option.get("description") or "") <= 100:
            raise too_long(f"{where}.description", 100)
        if len(option.get("choices") or []) > 25:
            raise too_long(f"{where}.choices", 25)
        _check_options(option.get("options") or [], where)


async def _list(call: Call) -> Answer:
    return 200, call.world.application.registered(_scope(call))


async def _replace_all(call: Call) -> Answer:
    scope, application = _scope(call), call.world.application
    commands = call.body or []
    for index, command in enumerate(commands):
        _check(command, str(index))
    for kind, most in MOST.items():
        if sum((command.get("type") or 1) == kind for command in commands) > most:
            raise too_long("commands", most)
    application.command_writes += 1
    written = [application.write(scope, command) for command in commands]
    application.commands[scope] = {int(command["id"]): command for command in written}
    return 200, written


async def _create(call: Call) -> Answer:
    scope, application = _scope(call), call.world.application
    _check(call.body, "command")
    application.command_writes += 1
    before = set(application.commands.get(scope, {}))
    command = application.write(scope, call.body)
    return (200 if int(command["id"]) in before else 201), command


def _one(call: Call) -> tuple[int | None, dict[str, Any]]:
    scope = _scope(call)
    command = call.world.application.commands.get(scope, {}).get(number(call.ids["command_id"]))
    if command is None:
        raise unknown("application command")
    return scope, command


async def _read(call: Call) -> Answer:
    return 200, _one(call)[1]


async def _edit(call: Call) -> Answer:
    scope, command = _one(call)
    _check({**command, **call.body}, "command")
    call.world.application.command_writes += 1
    return 200, call.world.application.write(scope, call.body, keep=command)


async def _delete(call: Call) -> Answer:
    scope, command = _one(call)
    call.world.application.command_writes += 1
    del call.world.application.commands[scope][int(command["id"])]
    return 204, None


for _path in (GLOBAL, OF_GUILD):
    route("GET", _path)(_list)
    route("PUT", _path)(_replace_all)
    route("POST", _path)(_create)
    route("GET", _path + "/{command_id}")(_read)
    route("PATCH", _path + "/{command_id}")(_edit)
    route("DELETE", _path + "/{command_id}")(_delete)


@route("GET", OF_GUILD + "/permissions")
async def permissions(call: Call) -> Answer:
    _scope(call)
    return 200, []


@route("GET", OF_GUILD + "/{command_id}/permissions")
async def permissions_of_one(call: Call) -> Answer:
    _scope(call)
    raise unknown("application command")
