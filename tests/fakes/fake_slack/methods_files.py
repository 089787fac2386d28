"""files.*: how a bot sends a file: ask for an address, post the bytes there, and share what was posted."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.fake_slack import board
from tests.fakes.fake_slack.mrkdwn import calls_in
from tests.fakes.fake_slack.refusals import Refusal, invalid_arguments
from tests.fakes.fake_slack.web_api import Call, Method
from tests.fakes.fake_slack.world import World


async def get_upload_url(call: Call) -> dict[str, Any]:
    call.need("filename", "length")
    if int(call.given["length"]) < 1:
        raise invalid_arguments("length must be at least 1")
    file_id = call.world.ids.next("F")
    call.world.uploads[file_id] = str(call.given["filename"])
    return {"upload_url": f"{call.world.url}/upload/{file_id}", "file_id": file_id}


async def complete_upload(call: Call) -> dict[str, Any]:
    """Shares the files in a channel, as a message of the bot."""
    call.need("files")
    files = [_file(call.world, one) for one in call.given["files"]]
    if call.given.get("channel_id"):
        channel = call.world.channel_to_write(call.given["channel_id"], is_public_enough=False)
        words = str(call.given.get("initial_comment") or "")
        board.post(
            channel, call.world.bot, words, files=files, thread_ts=call.given.get("thread_ts"), pings=calls_in(words)
        )  # fmt: skip
    return {"files": [{"id": one["id"], "title": one["title"]} for one in files]}


def _file(world: World, given: dict[str, Any]) -> dict[str, Any]:
    file_id = str(given["id"])
    if file_id not in world.files:
        raise Refusal("file_not_found")
    name = world.uploads[file_id]
    return {
        "id": file_id, "name": name, "title": given.get("title") or name, "mode": "hosted", "user": world.bot.id,
        "size": len(world.files[file_id]), "url_private": f"{world.url}/files/{file_id}/{name}",
    }  # fmt: skip


async def receive(world: World, request: web.Request) -> web.Response:
    """The bytes themselves, sent without a token to an address that only the bot was told."""
    file_id = request.match_info["file_id"]
    if file_id not in world.uploads:
        return web.Response(status=404)
    world.files[file_id] = await _content(request)
    return web.Response(text="OK - 0")


async def _content(request: web.Request) -> bytes:
    if request.content_type != "multipart/form-data":
        return await request.read()
    parts = [bytes(await part.read(decode=True)) async for part in await request.multipart()]  # type: ignore[union-attr]
    return b"".join(parts)


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(complete_upload, ("files:write",)),
}
