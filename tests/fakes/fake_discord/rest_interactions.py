"""Answers to interactions: the callback, the original message, and follow-ups."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_discord import board
from tests.fakes.fake_discord.interactions import COMMAND, COMPONENT, MODAL, Choice, Interaction
from tests.fakes.fake_discord.message_form import check_components
from tests.fakes.fake_discord.messages import CONTEXT_REPLY, EPHEMERAL, LOADING, SLASH_REPLY, Message
from tests.fakes.fake_discord.refusals import Refusal, invalid_form, invalid_webhook_token, too_long, unknown
from tests.fakes.fake_discord.rest import Answer, Call, route
from tests.fakes.fake_discord.rest_messages import changes_of
from tests.fakes.fake_discord.world import number

FOLLOWUPS_OF_A_USER_INSTALL = 5


@route("POST", "/interactions/{interaction_id}/{interaction_token}/callback")
async def callback(call: Call) -> Answer:
    interaction = call.world.interactions.get(call.ids["interaction_token"])
    if interaction is None or interaction.id != number(call.ids["interaction_id"]):
        raise unknown("interaction")
    interaction.check_callback()
    kind, data = call.body["type"], call.body.get("data") or {}
    respond = {4: _message, 5: _thinking, 6: _update_later, 7: _update, 8: _choices, 9: _modal}.get(kind)
    if respond is None:
        raise invalid_form("type", "BASE_TYPE_CHOICES", "Value must be one of (4, 5, 6, 7, 8, 9).")
    respond(call, interaction, data)
    interaction.response = kind
    interaction.acknowledged_at = call.world.clock.now()
    call.world.touch()
    if call.query.get("with_response", "").lower() not in ("1", "true"):
        return 204, None
    return 200, _callback_payload(interaction)


def _callback_payload(interaction: Interaction) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": str(interaction.id), "type": interaction.kind}
    message = interaction.original
    if message is not None:
        shown |= {
            "response_message_id": str(message.id), "response_message_loading": message.loading,
            "response_message_ephemeral": message.ephemeral,
        }  # fmt: skip
    answer: dict[str, Any] = {"interaction": shown}
    if interaction.response in (4, 7) and message is not None:
        answer["resource"] = {"type": interaction.response, "message": message.payload()}
    return answer


def _post(interaction: Interaction, content: str, allowed: dict[str, Any] | None, **changes: Any) -> Message:
    only_for = interaction.user if changes["flags"] & EPHEMERAL else None
    kind = {COMMAND: SLASH_REPLY if interaction.data.get("type", 1) == 1 else CONTEXT_REPLY}.get(interaction.kind, 0)
    reply_to = interaction.source if interaction.kind in (COMPONENT, MODAL) else None
    return board.post(
        interaction.channel, interaction.world.bot, content, allowed, interaction=interaction, only_for=only_for,
        kind=kind, reply_to=reply_to, **changes,
    )  # fmt: skip


def _message(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    changes = changes_of(call, data)
    interaction.original = _post(interaction, changes.pop("content", ""), data.get("allowed_mentions"), **changes)


def _thinking(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    flags = LOADING | ((data.get("flags") or 0) & EPHEMERAL)
    interaction.original = _post(interaction, "", None, flags=flags)


def _source(interaction: Interaction) -> Message:
    if interaction.source is None or interaction.source.deleted:
        raise invalid_form("type", "INTERACTION_UPDATE_WITHOUT_MESSAGE", "There is no message to update.")
    return interaction.source


def _update_later(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    interaction.original = _source(interaction)


def _update(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    message = _source(interaction)
    _edit(call, message, data)
    interaction.original = message


def _choices(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    choices = data.get("choices") or []
    if len(choices) > 25:
        raise invalid_form("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, choice in enumerate(choices):
        for name in ("name", "value"):
            if isinstance(choice[name], str) and not 1 <= len(choice[name]) <= 100:
                raise too_long(f"data.choices.{index}.{name}", 100)
    interaction.choices = [Choice(choice["name"], choice["value"]) for choice in choices]


def _modal(call: Call, interaction: Interaction, data: dict[str, Any]) -> None:
    if interaction.kind == MODAL:
        raise invalid_form("type", "INTERACTION_MODAL_IN_MODAL", "A modal can't open a modal.")
    for field, limit in (("title", 45), ("custom_id", 100)):
        if not 1 <= len(data[field]) <= limit:
            raise too_long(f"data.{field}", limit)
    if not 1 <= len(data["components"]) <= 5:
        raise invalid_form("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    check_components(data["components"])
    interaction.modal = data


def _edit(call: Call, message: Message, body: dict[str, Any]) -> None:
    changes = changes_of(call, body, message)
    changes["flags"] = (changes["flags"] & ~EPHEMERAL) | (message.flags & EPHEMERAL)
    (board.fill_in if message.loading else board.edit)(message, body.get("allowed_mentions"), **changes)


# The webhook routes of an interaction's token; rest_webhooks.py sends them here.


def of_call(call: Call) -> Interaction | None:
    """The interaction whose token a webhook path carries, if that is what it carries."""
    if number(call.ids["webhook_id"]) != call.world.application.id:
        return None
    interaction = call.world.interactions.get(call.ids["webhook_token"])
    if interaction is None:
        raise invalid_webhook_token()
    interaction.check_token()
    return interaction


def follow_up(call: Call, interaction: Interaction) -> Answer:
    body = call.body or {}
    original = interaction.original
    if original is not None and original.loading and not original.deleted:
        _edit(call, original, body)
        return 200, original.payload()
    guild = interaction.channel.guild
    bound = interaction.user_installed and not (guild is not None and guild.with_bot)
    if bound and len(interaction.followups) >= FOLLOWUPS_OF_A_USER_INSTALL:
        raise Refusal(400, 40094, "This interaction has reached the maximum number of follow up messages")
    changes = changes_of(call, body)
    message = _post(interaction, changes.pop("content", ""), body.get("allowed_mentions"), **changes)
    interaction.followups.append(message)
    call.world.touch()
    return 200, message.payload()


def message_of(interaction: Interaction, message_id: str) -> Message:
    candidates = [message for message in (interaction.original, *interaction.followups) if message is not None]
    if message_id == "@original":
        candidates = candidates[:1] if interaction.original is not None else []
    else:
        candidates = [message for message in candidates if message.id == number(message_id)]
    if not candidates or candidates[0].deleted:
        raise unknown("Message")
    return candidates[0]


def edit_message(call: Call, interaction: Interaction, message_id: str) -> Answer:
    message = message_of(interaction, message_id)
    _edit(call, message, call.body or {})
    return 200, message.payload()
