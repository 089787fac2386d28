"""Answers that come without the Web API: the payload of an acknowledgement, and posts to a response URL."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.fakes.fake_slack import board
from tests.fakes.fake_slack.blocks import faults_of
from tests.fakes.fake_slack.interactions import RESPONSE_URL_S, RESPONSE_URL_USES, Interaction
from tests.fakes.fake_slack.messages import Message
from tests.fakes.fake_slack.methods_app import change_view, checked_form, new_view
from tests.fakes.fake_slack.mrkdwn import calls_in, links_in, texts_of
from tests.fakes.fake_slack.socket_mode import SLASH, Envelope
from tests.fakes.fake_slack.world import World


class Responses:
    """`refused` are sentences about acknowledgements that Slack would have thrown away; `requests` all posts."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.refused: list[str] = []
        self.requests: list[dict[str, Any]] = []

    # acknowledgements

    def acknowledged(self, envelope: Envelope) -> None:
        interaction = next((one for one in self.world.interactions if one.envelope is envelope), None)
        given = envelope.response
        if interaction is None or not given:
            if interaction is not None and envelope.payload.get("type") == "view_submission":
                self._close(interaction, whole_stack=False)
            return
        if envelope.kind == SLASH:
            self._say(interaction, given if isinstance(given, dict) else {"text": str(given)})
        elif envelope.payload.get("type") == "view_submission":
            self._act(interaction, given)

    def _act(self, interaction: Interaction, given: dict[str, Any]) -> None:
        view, action = interaction.view, given.get("response_action")
        assert view is not None
        try:
            if action == "errors":
                view.errors = dict(given["errors"])
                known = {one.get("block_id") for one in view.blocks}
                if unknown := set(view.errors) - known:
                    self.refused.append(f"errors for blocks that are not there: {unknown}")
            elif action == "update":
                change_view(self.world, view, checked_form(given["view"], "modal"))
                interaction.views.append(view)
            elif action == "push":
                interaction.views.append(new_view(self.world, checked_form(given["view"], "modal"), view.user, view))
            else:
                self._close(interaction, whole_stack=action == "clear")
        except Exception as error:  # Slack shows "We had some trouble connecting"
            self.refused.append(f"{action}: {error}")
        self.world.touch()

    def _close(self, interaction: Interaction, *, whole_stack: bool) -> None:
        view = interaction.view
        assert view is not None
        for one in self.world.views.values():
            if one is view or (whole_stack and one.root_id == view.root_id):
                one.is_open = False

    # response URLs

    async def serve(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        given = await request.json()
        self.requests.append(given)
        found = [one for one in self.world.interactions if one.response_key == key]
        if not found:
            return web.Response(status=404, text="no_such_url")
        interaction = found[0]
        is_old = self.world.clock.added - interaction.began_at >= RESPONSE_URL_S
        if is_old or interaction.response_uses >= RESPONSE_URL_USES:
            return web.Response(status=404, text="expired_url" if is_old else "used_url")
        if faults_of(given.get("blocks") or []):
            return web.Response(status=400, text="invalid_blocks")
        interaction.response_uses += 1
        self._respond(interaction, given)
        return web.Response(text="ok")

    def _respond(self, interaction: Interaction, given: dict[str, Any]) -> None:
        original = interaction.message
        if given.get("delete_original") and original is not None:
            board.delete(original)
        elif given.get("replace_original") and original is not None:
            changes = {"text": given.get("text", ""), "blocks": given.get("blocks") or [], "markdown": None}
            board.edit(original, **changes)
            _note_calls(original)
        else:
            self._say(interaction, given)

    def _say(self, interaction: Interaction, given: dict[str, Any]) -> None:
        channel = interaction.channel or self.world.dm_with(interaction.user)
        is_private = given.get("response_type", "ephemeral") == "ephemeral"
        message = board.post(
            channel, self.world.bot, str(given.get("text") or ""), blocks=list(given.get("blocks") or []),
            thread_ts=given.get("thread_ts"), only_for=interaction.user if is_private else None,
        )  # fmt: skip
        _note_calls(message)
        if not (given.get("unfurl_links") is False and given.get("unfurl_media") is False) and not is_private:
            message.unfurls = links_in(message.everything)
        interaction.replies.append(message)
        self.world.touch()


def _note_calls(message: Message) -> None:
    message.pings += calls_in(message.text)
    for kind, text in texts_of(message.blocks):
        message.pings += calls_in(text, kind)
