"""Guilds, members and roles over REST."""

from __future__ import annotations

from tests.fakes.fake_discord.refusals import missing_permissions, unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.world import number


@route("GET", "/guilds/{guild_id}")
async def read(call: Call) -> Answer:
    return 200, call.world.guild_for_bot(call.ids["guild_id"]).payload()


@route("GET", "/guilds/{guild_id}/channels")
async def channels(call: Call) -> Answer:
    guild = call.world.guild_for_bot(call.ids["guild_id"])
    return 200, [channel.payload() for channel in guild.channels.values()]


@route("GET", "/guilds/{guild_id}/roles")
async def roles(call: Call) -> Answer:
    guild = call.world.guild_for_bot(call.ids["guild_id"])
    return 200, [role.payload() for role in guild.roles.values()]


@route("GET", "/guilds/{guild_id}/threads/active")
async def active_threads(call: Call) -> Answer:
    guild, bot = call.world.guild_for_bot(call.ids["guild_id"]), call.world.bot
    threads = [thread for thread in guild.threads.values() if not thread.archived and thread.seen_by(bot)]
    joined = [thread.member_payload(bot.id) for thread in threads if bot.id in thread.thread_members]
    return 200, {"threads": [thread.payload() for thread in threads], "members": joined, "has_more": False}


@route("GET", "/guilds/{guild_id}/members")
async def members(call: Call) -> Answer:
    guild = call.world.guild_for_bot(call.ids["guild_id"])
    after, limit = int(call.query.get("after", "0")), int(call.query.get("limit", "1"))
    found = sorted((key, member) for key, member in guild.members.items() if key > after)[:limit]
    return 200, [member.payload() for _, member in found]


@route("GET", "/guilds/{guild_id}/members/{user_id}")
async def member(call: Call) -> Answer:
    guild = call.world.guild_for_bot(call.ids["guild_id"])
    user_id = call.ids["user_id"]
    found = guild.members.get(number(user_id))
    if found is None:
        raise unknown("Member")
    return 200, found.payload()


@route("PATCH", "/guilds/{guild_id}/members/@me")
async def edit_own_profile(call: Call) -> Answer:
    guild, bot = call.world.guild_for_bot(call.ids["guild_id"]), call.world.bot
    if "nick" in call.body:
        if not guild.permissions_of(bot) & 1 << 26:
            raise missing_permissions()
        guild.bot_member.nick = call.body["nick"] or None
    if "avatar" in call.body:
        guild.bot_member.avatar = "a" * 32 if call.body["avatar"] else None
    if "banner" in call.body:
        guild.bot_member.banner = "b" * 32 if call.body["banner"] else None
    if "bio" in call.body:
        guild.bot_member.bio = call.body["bio"]
    guild.tell_of_member(bot)
    return 200, guild.bot_member.payload()


@route("DELETE", "/users/@me/guilds/{guild_id}")
async def leave(call: Call) -> Answer:
    call.world.guild_for_bot(call.ids["guild_id"]).remove_bot()
    return 204, None
