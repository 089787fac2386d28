"""conversations.*, users.*, bots.info, auth.test and what else looks things up."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.fakes.fake_slack.channels import HISTORY_SCOPES, READ_SCOPES, Channel
from tests.fakes.fake_slack.refusals import Refusal, missing_scope
from tests.fakes.fake_slack.web_api import Call, Method

T = TypeVar("T")
KINDS = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


async def auth_test(call: Call) -> dict[str, Any]:
    world = call.world
    return {
        "url": f"https://{world.team_name}.slack.example/", "team": world.team_name, "user": world.bot.name,
        "team_id": world.team_id, "user_id": world.bot.id, "bot_id": world.bot.bot_id, "is_enterprise_install": False,
    }  # fmt: skip


async def bots_info(call: Call) -> dict[str, Any]:
    wanted = call.given.get("bot")
    bot = next((one for one in call.world.users.values() if one.bot_id is not None and one.bot_id == wanted), None)
    if bot is None:
        raise Refusal("bot_not_found")
    profile = {name: value for name, value in bot.bot_profile().items() if name != "team_id"}
    return {"bot": {**profile, "user_id": bot.id}}


async def users_info(call: Call) -> dict[str, Any]:
    user = call.world.users.get(str(call.given.get("user")))
    if user is None:
        raise Refusal("user_not_found")
    return {"user": user.payload()}


async def team_info(call: Call) -> dict[str, Any]:
    return {"team": {"id": call.world.team_id, "name": call.world.team_name, "domain": call.world.team_name}}


async def info(call: Call) -> dict[str, Any]:
    channel = _channel(call, READ_SCOPES)
    more = {"num_members": len(channel.members)} if call.is_set("include_num_members") else {}
    return {"channel": {**channel.payload(), **more}}


async def history(call: Call) -> dict[str, Any]:
    channel = _channel(call, HISTORY_SCOPES)
    if not channel.has_bot:
        raise Refusal("not_in_channel")
    shown = [one for one in channel.messages if one.root_ts == one.ts or one.is_broadcast]
    shown = [one for one in reversed(shown) if _is_between(call, one.ts)]
    page, after = _page(call, shown, default=100)
    found = {"messages": [one.payload() for one in page], "has_more": bool(after), "pin_count": 0}
    return found | ({"response_metadata": {"next_cursor": after}} if after else {})


async def replies(call: Call) -> dict[str, Any]:
    """A thread from its first message on. Its first message is on every page."""
    channel = _channel(call, HISTORY_SCOPES)
    if not channel.has_bot:
        raise Refusal("not_in_channel")
    call.need("ts")
    asked = next((one for one in channel.messages if one.ts == call.given["ts"]), None)
    thread = channel.thread(asked) if asked is not None else channel.thread(str(call.given["ts"]))
    if not thread:
        raise Refusal("thread_not_found")
    root = [one for one in thread if one.ts == one.root_ts]
    rest = [one for one in thread if one.ts != one.root_ts and _is_between(call, one.ts)]
    page, after = _page(call, rest, default=1000)
    found = {"messages": [one.payload() for one in (*root, *page)], "has_more": bool(after)}
    return found | ({"response_metadata": {"next_cursor": after}} if after else {})


async def members(call: Call) -> dict[str, Any]:
    channel = _channel(call, READ_SCOPES)
    page, after = _page(call, channel.members, default=100)
    return {"members": [one.id for one in page], "response_metadata": {"next_cursor": after}}


async def list_all(call: Call) -> dict[str, Any]:
    kinds = {KINDS[one] for one in str(call.given.get("types", "public_channel")).split(",") if one in KINDS}
    for kind in kinds & READ_SCOPES.keys():
        if READ_SCOPES[kind] not in call.scopes:
            raise missing_scope(READ_SCOPES[kind], call.scopes)
    found = [
        one for one in call.world.channels.values() if one.kind in kinds and (one.kind == "channel" or one.has_bot)
    ]
    if call.is_set("exclude_archived"):
        found = [one for one in found if not one.is_archived]
    page, after = _page(call, found, default=100)
    return {"channels": [one.payload() for one in page], "response_metadata": {"next_cursor": after}}


async def users_conversations(call: Call) -> dict[str, Any]:
    kinds = {KINDS[one] for one in str(call.given.get("types", "public_channel")).split(",") if one in KINDS}
    found = [one for one in call.world.channels.values() if one.kind in kinds and one.has_bot]
    page, after = _page(call, found, default=100)
    return {"channels": [one.payload() for one in page], "response_metadata": {"next_cursor": after}}


async def open_dm(call: Call) -> dict[str, Any]:
    if call.given.get("channel"):
        channel = call.world.channel_for_bot(call.given["channel"])
    else:
        call.need("users")
        names = str(call.given["users"]).split(",")
        if len(names) != 1 or names[0] not in call.world.users:
            raise Refusal("user_not_found")
        channel = call.world.dm_with(call.world.users[names[0]])
    return {"channel": channel.payload() if call.is_set("return_im") else {"id": channel.id}}


async def join(call: Call) -> dict[str, Any]:
    channel = _channel(call, {})
    if channel.kind != "channel":
        raise Refusal("method_not_supported_for_channel_type")
    call.world.join(channel, call.world.bot)
    return {"channel": channel.payload()}


def _channel(call: Call, scopes: dict[str, str]) -> Channel:
    call.need("channel")
    channel = call.world.channel_for_bot(call.given["channel"])
    needed = scopes.get(channel.kind)
    if needed is not None and needed not in call.scopes:
        raise missing_scope(needed, call.scopes)
    return channel


def _is_between(call: Call, ts: str) -> bool:
    oldest, latest = str(call.given.get("oldest", "0")), str(call.given.get("latest", "9999999999"))
    value = float(ts)
    if call.is_set("inclusive"):
        return float(oldest) <= value <= float(latest)
    return float(oldest) < value < float(latest)


def _page(call: Call, everything: list[T], default: int) -> tuple[list[T], str]:
    """What this call shows, and the cursor of what comes next, "" at the end."""
    limit, cursor = int(call.given.get("limit") or default), str(call.given.get("cursor") or "at:0")
    if not 1 <= limit <= 1000:
        raise Refusal("invalid_limit")
    if not cursor.startswith("at:"):
        raise Refusal("invalid_cursor")
    begin = int(cursor.removeprefix("at:"))
    end = begin + limit
    return everything[begin:end], f"at:{end}" if end < len(everything) else ""


METHODS = {
    "auth.test": Method(auth_test),
    "bots.info": Method(bots_info, ("users:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "users.conversations": Method(users_conversations, any_of=tuple(READ_SCOPES.values())),
    "team.info": Method(team_info, ("team:read",)),
    "conversations.info": Method(info),
    "conversations.history": Method(history),
    "conversations.replies": Method(replies),
    "conversations.members": Method(members),
    "conversations.list": Method(list_all),
    "conversations.open": Method(open_dm, any_of=("im:write", "mpim:write", "channels:manage", "groups:write")),
    "conversations.join": Method(join, ("channels:join",)),
}
