"""What Discord refuses in a message, and how it completes one: limits, component ids, embeds, attachments."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_discord.messages import COMPONENTS_V2, parts
from tests.fakes.fake_discord.refusals import Refusal, invalid_form, too_long
from tests.fakes.fake_discord.rest import Call

LIMITS = {"label": 80, "custom_id": 100, "placeholder": 150}


def check_message(body: dict[str, Any], flags: int, anything_else: bool) -> None:
    """Raises the refusal Discord would answer with. `anything_else`: files, a poll, or what an edit leaves standing."""
    content = body.get("content") or ""
    if len(content) > 2000:
        raise too_long("content", 2000)
    if len(str(body.get("nonce") or "")) > 25:
        raise too_long("nonce", 25)
    components = body.get("components") or []
    embeds = body.get("embeds") or []
    if flags & COMPONENTS_V2:
        _check_components_v2(content, embeds, components)
    else:
        _check_rows(components)
    check_components(components)
    _check_embeds(embeds)
    if not (content.strip() or embeds or components or anything_else or body.get("sticker_ids")):
        raise Refusal(400, 50006, "Cannot send an empty message")


def _check_rows(components: list[dict[str, Any]]) -> None:
    if len(components) > 5:
        raise invalid_form("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for index, row in enumerate(components):
        if row["type"] != 1:
            raise invalid_form(f"components.{index}", "UNION_TYPE_CHOICES", 'The field "type" must be one of (1,).')


def _check_components_v2(content: str, embeds: list[Any], components: list[dict[str, Any]]) -> None:
    if content or embeds:
        field = "content" if content else "embeds"
        message = "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
        raise invalid_form(field, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)
    everything = parts(components)
    if len(everything) > 40:
        raise invalid_form("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The maximum is 40 components")
    if sum(len(part["content"]) for part in everything if part["type"] == 10) > 4000:
        message = "Displayable text must be 4000 or fewer in length."
        raise invalid_form("components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", message)


def check_components(components: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for part in parts(components):
        for name, limit in LIMITS.items():
            if len(part.get(name) or "") > limit:
                raise too_long(f"components.0.components.0.{name}", limit)
        if part["type"] == 1 and not 1 <= len(part["components"]) <= 5:
            message = "Must be between 1 and 5 in length."
            raise invalid_form("components.0.components", "BASE_TYPE_BAD_LENGTH", message)
        if part["type"] == 3 and not 1 <= len(part["options"]) <= 25:
            message = "Must be between 1 and 25 in length."
            raise invalid_form("components.0.components.0.options", "BASE_TYPE_BAD_LENGTH", message)
        if part["type"] == 2 and not (part.get("label") or part.get("emoji")):
            message = "A button must have a label or an emoji."
            raise invalid_form("components.0.components.0", "BUTTON_COMPONENT_INVALID", message)
        custom_id = part.get("custom_id")
        if custom_id in seen:
            message = "Component custom id cannot be duplicated"
            raise invalid_form("components.0.components.0.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", message)
        seen |= {custom_id} if custom_id else set()


def _check_embeds(embeds: list[dict[str, Any]]) -> None:
    if len(embeds) > 10:
        raise invalid_form("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        fields = embed.get("fields") or []
        texts = {
            "title": (embed.get("title") or "", 256), "description": (embed.get("description") or "", 4096),
            "footer.text": ((embed.get("footer") or {}).get("text") or "", 2048),
            "author.name": ((embed.get("author") or {}).get("name") or "", 256),
        }  # fmt: skip
        for number, field in enumerate(fields):
            texts[f"fields.{number}.name"] = (field["name"], 256)
            texts[f"fields.{number}.value"] = (field["value"], 1024)
        for name, (text, limit) in texts.items():
            if len(text) > limit:
                raise too_long(f"embeds.{index}.{name}", limit)
            total += len(text)
        if len(fields) > 25:
            raise invalid_form(f"embeds.{index}.fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    if total > 6000:
        raise invalid_form("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def completed_components(components: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Components as Discord returns them: numbered, with the defaults of their kinds."""
    shown = [_completed(component) for component in components or []]
    for number, part in enumerate(parts(shown), start=1):
        part["id"] = part.get("id") or number
    return shown


def _completed(component: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in component.items() if value is not None}
    kind = shown["type"]
    if kind in (3, 5, 6, 7, 8):
        shown = {"min_values": 1, "max_values": 1, **shown}
    if kind == 17:
        shown = {"accent_color": None, "spoiler": False, **shown}
    if kind == 4:
        shown = {"label": None, "min_length": None, "max_length": None, **shown}
    if shown.get("emoji"):
        emoji = shown["emoji"]
        shown["emoji"] = {key: emoji[key] for key in ("id", "name", "animated") if emoji.get(key)}
    for name in ("component", "accessory"):
        if name in shown:
            shown[name] = _completed(shown[name])
    if "components" in shown:
        shown["components"] = [_completed(inner) for inner in shown["components"]]
    return shown


def completed_embeds(embeds: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return [
        {"type": "rich"} | {name: value for name, value in one.items() if value is not None} for one in embeds or []
    ]


def attachments(call: Call, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Uploaded files as attachments, to be had from the fake again. Knows no pictures' sizes."""
    shown = []
    described = {str(one.get("id")): one for one in body.get("attachments") or []}
    for field, (name, content) in call.files.items():
        number = field.removeprefix("files[").removesuffix("]")
        attachment_id = call.world.next_id()
        url = f"{call.world.url}/cdn/attachments/{attachment_id}/{name}"
        call.world.uploads[attachment_id] = content
        one = {"id": str(attachment_id), "filename": name, "size": len(content), "url": url, "proxy_url": url}
        description = described.get(number, {}).get("description")
        shown.append({**one, "description": description} if description else one)
    return shown


def kept_attachments(body: dict[str, Any], standing: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which attachments an edit leaves: those it lists, all where it lists none at all."""
    if body.get("attachments") is None:
        return standing
    listed = {str(one["id"]) for one in body["attachments"] if "id" in one}
    return [one for one in standing if one["id"] in listed]
