"""apps.connections.open, apps.manifest.export, reactions.*, views.* and assistant.threads.*."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_slack import board
from tests.fakes.fake_slack.blocks import faults_of
from tests.fakes.fake_slack.interactions import TRIGGER_S, Interaction
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.refusals import Refusal, invalid_arguments, invalid_blocks
from tests.fakes.fake_slack.users import User
from tests.fakes.fake_slack.views import View
from tests.fakes.fake_slack.web_api import Call, Method
from tests.fakes.fake_slack.world import World

METADATA_CHARS = 3000


async def connections_open(call: Call) -> dict[str, Any]:
    if call.world.is_socket_mode_off:
        raise Refusal("socket_mode_not_enabled")
    return {"url": call.world.issue_url()}


async def manifest_export(call: Call) -> dict[str, Any]:
    call.need("app_id")
    if call.given["app_id"] != call.world.app_id:
        raise Refusal("invalid_app_id")
    return {"manifest": call.world.manifest}


async def reactions_get(call: Call) -> dict[str, Any]:
    call.need("channel", "timestamp")
    message = _message(call)
    return {"type": "message", "channel": message.channel.id, "message": message.payload()}


async def reactions_add(call: Call) -> dict[str, Any]:
    call.need("channel", "name", "timestamp")
    if not board.react(_message(call), call.world.bot, str(call.given["name"])):
        raise Refusal("already_reacted")
    return {}


async def reactions_remove(call: Call) -> dict[str, Any]:
    call.need("channel", "name", "timestamp")
    if not board.unreact(_message(call), call.world.bot, str(call.given["name"])):
        raise Refusal("no_reaction")
    return {}


async def views_open(call: Call) -> dict[str, Any]:
    interaction = _triggered(call)
    view = new_view(call.world, _modal(call), interaction.user)
    interaction.views.append(view)
    call.world.touch()
    return {"view": view.payload()}


async def views_push(call: Call) -> dict[str, Any]:
    interaction = _triggered(call)
    below = interaction.view
    if below is None or below.form["type"] != "modal":
        raise Refusal("not_found")
    view = new_view(call.world, _modal(call), interaction.user, below=below)
    interaction.views.append(view)
    call.world.touch()
    return {"view": view.payload()}


async def views_update(call: Call) -> dict[str, Any]:
    wanted, external = call.given.get("view_id"), call.given.get("external_id")
    found = [one for one in call.world.views.values() if one.id == wanted or (external and one.external_id == external)]
    if not found:
        raise Refusal("not_found")
    if call.given.get("hash") not in (None, found[0].hash):
        raise Refusal("hash_conflict")
    change_view(call.world, found[0], _modal(call))
    return {"view": found[0].payload()}


async def views_publish(call: Call) -> dict[str, Any]:
    call.need("user_id", "view")
    user = call.world.users.get(str(call.given["user_id"]))
    if user is None:
        raise Refusal("user_not_found")
    form = checked_form(call.given["view"], "home")
    home = call.world.homes.get(user.id)
    if home is None:
        home = new_view(call.world, form, user)
        call.world.homes[user.id] = home
        call.world.touch()
    else:
        change_view(call.world, home, form)
    return {"view": home.payload()}


async def set_status(call: Call) -> dict[str, Any]:
    call.need("channel_id", "thread_ts")
    if "status" not in call.given:
        raise invalid_arguments("missing required field: status")
    lines = call.given.get("loading_messages") or []
    if len(lines) > 10 or any(not line or len(line) > 50 for line in lines):
        raise invalid_arguments("loading_messages must be 1 to 10 lines of 1 to 50 characters")
    channel = call.world.channel_for_bot(call.given["channel_id"])
    channel.statuses.append(dict(call.given))
    call.world.touch()
    return {}


async def set_prompts(call: Call) -> dict[str, Any]:
    call.need("channel_id", "prompts")
    prompts = call.given["prompts"]
    if not 1 <= len(prompts) <= 4 or any(not one.get("title") or not one.get("message") for one in prompts):
        raise invalid_arguments("prompts must be 1 to 4 pairs of title and message")
    call.world.channel_for_bot(call.given["channel_id"]).prompts.append(dict(call.given))
    call.world.touch()
    return {}


async def set_title(call: Call) -> dict[str, Any]:
    call.need("channel_id", "thread_ts", "title")
    call.world.channel_for_bot(call.given["channel_id"]).titles.append(dict(call.given))
    call.world.touch()
    return {}


def new_view(world: World, form: dict[str, Any], user: User, below: View | None = None) -> View:
    number = world.ids.next("V")
    view = View(
        number, form, user, world.team_id, world.app_id, world.bot.bot_id or "",
        root_id=below.root_id if below else number, previous_id=below.id if below else None,
        external_id=str(form.get("external_id") or ""), hash=world.next_ts(),
    )  # fmt: skip
    view.versions.append(form)
    world.views[number] = view
    return view


def change_view(world: World, view: View, form: dict[str, Any]) -> None:
    view.form, view.hash, view.errors = form, world.next_ts(), {}
    view.versions.append(form)
    world.touch()


def checked_form(form: Any, kind: str) -> dict[str, Any]:
    """Raises what Slack answers to a view that it cannot show."""
    if not isinstance(form, dict) or form.get("type") != kind:
        raise invalid_arguments(f"view must be of type {kind}")
    faults = faults_of(form.get("blocks"), is_view=True)
    if len(form.get("private_metadata") or "") > METADATA_CHARS:
        faults.append("private_metadata must be less than 3001 characters")
    if kind == "modal":
        for name in ("title", "submit", "close"):
            text = (form.get(name) or {}).get("text", "")
            if (name == "title" and not text) or len(text) > 24:
                faults.append(f"{name} must be 1 to 24 characters")
        if any(one.get("type") == "input" for one in form.get("blocks") or []) and not form.get("submit"):
            faults.append("submit is required when there is an input")
    if faults:
        raise invalid_blocks(*faults, error="invalid_arguments")
    return {**form, "blocks": [{"block_id": f"b{index}", **block} for index, block in enumerate(form["blocks"])]}


def _modal(call: Call) -> dict[str, Any]:
    call.need("view")
    return checked_form(call.given["view"], "modal")


def _triggered(call: Call) -> Interaction:
    """What a trigger id belongs to: usable once, for three seconds."""
    call.need("trigger_id")
    found = [one for one in call.world.interactions if one.trigger_id == call.given["trigger_id"]]
    if not found:
        raise Refusal("invalid_trigger_id")
    interaction = found[0]
    if interaction.views:
        raise Refusal("exchanged_trigger_id")
    if call.world.clock.added - interaction.began_at >= TRIGGER_S:
        raise Refusal("expired_trigger_id")
    return interaction


def _message(call: Call) -> Message:
    message = call.world.channel_for_bot(call.given["channel"]).find(str(call.given["timestamp"]))
    if message is None:
        raise Refusal("message_not_found")
    return message


ASSISTANT = ("assistant:write", "chat:write")  # either will do for a status
METHODS = {
    "apps.connections.open": Method(connections_open, ("connections:write",), is_for_app_token=True),
    "apps.manifest.export": Method(manifest_export, is_for_config_token=True),
    "reactions.get": Method(reactions_get, ("reactions:read",)),
    "reactions.add": Method(reactions_add, ("reactions:write",)),
    "reactions.remove": Method(reactions_remove, ("reactions:write",)),
    "views.open": Method(views_open),
    "views.push": Method(views_push),
    "views.update": Method(views_update),
    "views.publish": Method(views_publish),
    "assistant.threads.setStatus": Method(set_status, any_of=ASSISTANT),
    "assistant.threads.setSuggestedPrompts": Method(set_prompts, ("assistant:write",)),
    "assistant.threads.setTitle": Method(set_title, ("assistant:write",)),
}
