"""The pages below /versions: a persona's adapter versions, and the buttons that promote one, take one back, or hold and
end a rollout.

Whoever holds the key may press them; a page of another site may not, which `guards.py` sees to. Promotes only what the
registry allows.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bot.web.api_errors import sentence_of
from bot.web.guards import VERSIONS_PATH
from bot.web.service_view import Service
from bot.web.versions_view import all_personas, persona_versions
from core.adapters.check import check_adapter, local_fingerprint
from core.adapters.registry import RegisteredAdapter
from core.adapters.rollout_moves import ACTIONS, Action, steer
from core.errors import InvalidInput, PersonasError
from core.persona_names import one_line
from core.personas import find_persona
from core.settings import is_text

BY = "the web page"
MAX_FIELDS = 10
MAX_REASON_CHARS = 500
MAX_VERSION_DIGITS = 9
DONE = {
    "promoted": "It answers from the next reply on.",
    "restored": "It answers again from the next reply on.",
    "pause": "The rollout is paused: nothing is decided, and no further conversation gets the new version.",
    "resume": "The rollout goes on.",
    "abort": "The rollout is over, and the champion answers everywhere.",
}

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# A card quotes what others wrote: nothing of it becomes HTML of its own, a link or a picture.
CARDS = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "html_inline", "html_block"])


def versions_router(service: Service) -> APIRouter:
    """GET /versions and /versions/SLUG; POST /versions/SLUG/promote, /rollback and /rollout."""
    router = APIRouter()

    @router.get(VERSIONS_PATH)
    async def show_all() -> Response:
        return _page("personas.html", service, lines=await all_personas(service))

    @router.get(f"{VERSIONS_PATH}/{{slug}}")
    async def show(slug: str, done: str = "") -> Response:
        return await _persona_page(service, slug, said=DONE.get(done, ""))

    @router.post(f"{VERSIONS_PATH}/{{slug}}/promote")
    async def promote(slug: str, request: Request) -> Response:
        try:
            await _promote(service, slug, _fields(await request.body()))
        except PersonasError as error:
            return await _persona_page(service, slug, error=error)
        return RedirectResponse(f"{VERSIONS_PATH}/{slug}?done=promoted", status_code=303)

    @router.post(f"{VERSIONS_PATH}/{{slug}}/rollback")
    async def rollback(slug: str, request: Request) -> Response:
        try:
            await _rollback(service, slug, _fields(await request.body()))
        except PersonasError as error:
            return await _persona_page(service, slug, error=error)
        return RedirectResponse(f"{VERSIONS_PATH}/{slug}?done=restored", status_code=303)

    @router.post(f"{VERSIONS_PATH}/{{slug}}/rollout")
    async def steer_rollout(slug: str, request: Request) -> Response:
        try:
            action = await _steer(service, slug, _fields(await request.body()))
        except PersonasError as error:
            return await _persona_page(service, slug, error=error)
        return RedirectResponse(f"{VERSIONS_PATH}/{slug}?done={action}", status_code=303)

    return router


async def _promote(service: Service, slug: str, fields: dict[str, str]) -> None:
    """Raises InvalidInput for what the page never sends, and what the registry raises: ChampionMoved, say."""
    persona, base = find_persona(service.personas, slug).slug, service.settings.base_slug
    number, is_forced, reason = _version(fields.get("version", "")), "force" in fields, _reason(fields)
    async with service.store.read() as session:
        chosen = await service.registry.get(session, persona, base, number)
    await _check(service, chosen)
    if is_forced and not chosen.gate_passed and reason is None:
        raise InvalidInput(f"{chosen.ref.name} has not passed a gate; say in a sentence why it shall answer.")
    await service.registry.promote(
        service.store,
        persona,
        base,
        number,
        force=is_forced,
        by=BY,
        reason=reason,
        over=_version(fields["over"]) if fields.get("over") else None,
    )


async def _rollback(service: Service, slug: str, fields: dict[str, str]) -> None:
    persona, base = find_persona(service.personas, slug).slug, service.settings.base_slug
    async with service.store.read() as session:
        versions = await service.registry.versions(session, persona, base)
    shown = _version(fields.get("version", ""))
    for one in versions:
        if "previous" in one.aliases:
            if one.version != shown:
                raise InvalidInput(f"{one.ref.name} is the previous version by now; look again before you go back.")
            await _check(service, one)
    await service.registry.rollback(service.store, persona, base, by=BY, reason=_reason(fields))


async def _steer(service: Service, slug: str, fields: dict[str, str]) -> Action:
    """What was done. Raises NotFound where the rollout that the page showed is running no more."""
    persona, base = find_persona(service.personas, slug).slug, service.settings.base_slug
    action = next((one for one in ACTIONS if one == fields.get("action")), None)
    if action is None:
        raise InvalidInput("The form says nothing to do; open the page again.")
    shown = _version(fields.get("challenger", ""))
    await steer(service.store, persona, base, action, by=BY, why=_reason(fields), challenger=shown)
    return action


async def _check(service: Service, version: RegisteredAdapter) -> None:
    """Raises AdapterRejected for a version that could not answer: another base model's, say."""
    fingerprint = await asyncio.to_thread(local_fingerprint, service.settings.base_model_path)
    check_adapter(version.ref, version.folder, version.lineage, fingerprint)


async def _persona_page(
    service: Service, slug: str, *, said: str = "", error: PersonasError | None = None
) -> HTMLResponse:
    shown = await persona_versions(service, slug)
    problem = "" if error is None else sentence_of(error)
    status = 200 if error is None else error.http_status
    return _page("versions.html", service, status=status, shown=shown, said=said, problem=problem)


def _page(template: str, service: Service, *, status: int = 200, **values: Any) -> HTMLResponse:
    text = TEMPLATES.get_template(template).render(
        has_key=service.settings.api_key is not None,
        base_model=service.settings.base_model,
        card=CARDS.render,
        path=VERSIONS_PATH,
        **values,
    )
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def _fields(body: bytes) -> dict[str, str]:
    """The form's fields. Raises InvalidInput."""
    try:
        text = body.decode()
        fields = parse_qs(text, max_num_fields=MAX_FIELDS, keep_blank_values=True)
    except ValueError as error:
        raise InvalidInput("The form is not what this page sends; open the page again.") from error
    return {name: values[0] for name, values in fields.items()}


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_VERSION_DIGITS):
        raise InvalidInput("The form names no version; open the page again.")
    return int(text)


def _reason(fields: dict[str, str]) -> str | None:
    text = fields.get("reason", "")
    if not is_text(text) or len(text) > MAX_REASON_CHARS:
        raise InvalidInput(f"The reason is no text of at most {MAX_REASON_CHARS} characters; write a sentence.")
    if not text.strip():
        return None
    try:
        return one_line(text)
    except ValueError as error:
        raise InvalidInput(f"The reason cannot be recorded: {error}.") from error
