"""The bot's own account and application over REST, and where its gateway is."""

from __future__ import annotations

from tests.fakes.fake_discord.refusals import unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.world import number


@route("GET", "/users/@me")
async def me(call: Call) -> Answer:
    return 200, call.world.bot.own_payload()


@route("GET", "/users/{user_id}")
async def user(call: Call) -> Answer:
    found = call.world.users.get(number(call.ids["user_id"]))
    if found is None:
        raise unknown("User")
    return 200, found.payload()


@route("GET", "/users/@me/guilds")
async def my_guilds(call: Call) -> Answer:
    found = [guild for guild in call.world.guilds.values() if guild.with_bot]
    return 200, [
        {
            "id": str(guild.id), "name": guild.name, "icon": None, "banner": None, "owner": False, "features": [],
            "permissions": str(guild.permissions_of(call.world.bot)),
        }
        for guild in found
    ]  # fmt: skip


@route("GET", "/applications/@me")
async def application(call: Call) -> Answer:
    return 200, call.world.application.payload()


@route("GET", "/oauth2/applications/@me")
async def oauth_application(call: Call) -> Answer:
    return 200, call.world.application.payload()


@route("GET", "/gateway")
async def gateway(call: Call) -> Answer:
    return 200, {"url": call.world.gateway_url}


@route("GET", "/gateway/bot")
async def gateway_for_bot(call: Call) -> Answer:
    limits = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
    return 200, {"url": call.world.gateway_url, "shards": call.world.shards, "session_start_limit": limits}
