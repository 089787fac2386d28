"""What a human does at their client: speak, react, press, run commands. Each act is what Slack's client offers."""

from __future__ import annotations

import secrets
from typing import Any

from tests.fakes.fake_slack import board
from tests.fakes.fake_slack.channels import Channel
from tests.fakes.fake_slack.interactions import Interaction
from tests.fakes.fake_slack.messages import Message, elements, labels
from tests.fakes.fake_slack.socket_mode import INTERACTIVE, SLASH
from tests.fakes.fake_slack.users import User
from tests.fakes.fake_slack.views import View
from tests.fakes.fake_slack.world import World


class Person(User):
    """A human, or somebody else's bot. Acts return when Slack has taken them in, not when the bot has answered: wait
    with `channel.wait_for` or `interaction.wait_reply`."""

    def __init__(self, world: World, name: str, *, is_bot: bool = False, is_admin: bool = False) -> None:
        bot_id, app_id = (world.ids.next("B"), world.ids.next("A")) if is_bot else (None, None)
        super().__init__(world.ids.next("U"), name, world.team_id, bot_id, app_id, is_admin)
        self.world = world

    # words

    async def says(
        self, where: Channel | Message, text: str = "", *, mentions_bot: bool = False, broadcast: bool = False,
        files: dict[str, bytes] | None = None, **more: Any,
    ) -> Message:  # fmt: skip
        """Posts into a channel, or into the thread of a message. `more`: blocks, attachments, subtype."""
        channel, thread_ts = self._at(where)
        text = f"{self.world.bot.mention} {text}".rstrip() if mentions_bot else text
        attached = [self._upload(name, content) for name, content in (files or {}).items()]
        return board.post(
            channel, self, text, thread_ts=thread_ts, is_broadcast=broadcast, files=attached, **more
        )  # fmt: skip

    async def shares(self, message: Message, to: Channel, text: str = "", *, mentions_bot: bool = False) -> Message:
        """Forwards a message, which is an attachment of the new one."""
        shared = {
            "is_share": True, "is_msg_unfurl": True, "channel_id": message.channel.id, "ts": message.ts,
            "author_name": message.name, "author_id": message.author.id, "text": message.content,
            "fallback": message.content, "mrkdwn_in": ["text"], "footer": "Posted in a channel",
            "from_url": f"https://{self.world.team_name}.slack.example/archives/{message.channel.id}/p{message.ts}",
            "message_blocks": [], "id": 1,
        }  # fmt: skip
        return await self.says(to, text, mentions_bot=mentions_bot, attachments=[shared])

    async def edits(self, message: Message, text: str) -> None:
        assert message.author is self, "only one's own messages can be edited"
        board.edit(message, text=text)

    async def deletes(self, message: Message) -> None:
        assert message.author is self or self.is_admin, "not theirs to delete"
        board.delete(message)

    async def reacts(self, message: Message, emoji: str) -> None:
        """`emoji`: 👍, or Slack's name for one, such as +1::skin-tone-2."""
        self._join(message.channel)
        board.react(message, self, emoji)

    async def unreacts(self, message: Message, emoji: str) -> None:
        board.unreact(message, self, emoji)

    async def stops(self, message: Message) -> None:
        """The stop button under a message that is being streamed."""
        assert message.is_streaming, "nothing to stop"
        message.stream_ends_at = 0.0

    # places

    async def opens_dm(self) -> Channel:
        return self.world.dm_with(self)

    async def joins(self, channel: Channel) -> None:
        self.world.join(channel, self)

    async def leaves(self, channel: Channel) -> None:
        self.world.leave(channel, self)

    async def opens_home(self, tab: str = "home") -> None:
        """`tab` "home" is the App Home; "messages" is where the agent is spoken to."""
        channel = self.world.dm_with(self)
        event: dict[str, Any] = {"user": self.id, "channel": channel.id, "tab": tab}
        home = self.world.homes.get(self.id)
        if home is not None and tab == "home":
            event["view"] = home.payload()
        self.world.emit("app_home_opened", event)

    @property
    def home(self) -> View | None:
        return self.world.homes.get(self.id)

    def sees(self, channel: Channel) -> list[Message]:
        """What this person sees there, ephemeral messages for them included."""
        return [one for one in channel.everything if not one.is_deleted and one.only_for in (None, self)]

    # interactions

    async def uses(self, command: str, text: str = "", *, in_: Channel | Message) -> Interaction:
        """A slash command. Slack refuses them inside threads, so a Message raises AssertionError."""
        assert isinstance(in_, Channel), "Slack refuses slash commands in threads"
        self._join(in_)
        interaction = self._begin(channel=in_)
        payload = {
            "token": "unused", "team_id": self.team_id, "team_domain": self.world.team_name, "channel_id": in_.id,
            "channel_name": in_.name or "directmessage", "user_id": self.id, "user_name": self.name,
            "command": f"/{command.lstrip('/')}", "text": text, "api_app_id": self.world.app_id,
            "is_enterprise_install": "false", "response_url": interaction.response_url,
            "trigger_id": interaction.trigger_id,
        }  # fmt: skip
        self.world.interact(SLASH, payload, interaction)
        return interaction

    async def uses_on(self, message: Message, callback_id: str) -> Interaction:
        """A shortcut of the message's menu."""
        self._join(message.channel)
        interaction = self._begin(channel=message.channel)
        payload = {
            **self._shared("message_action", interaction), "callback_id": callback_id, "message_ts": message.ts,
            "message": message.payload(), "channel": self._place(message.channel), "action_ts": self.world.next_ts(),
            "response_url": interaction.response_url,
        }  # fmt: skip
        self.world.interact(INTERACTIVE, payload, interaction)
        return interaction

    async def presses(self, where: Message | View, button: str, value: str | None = None) -> Interaction:
        """A button, by its label, icon or action_id; of feedback buttons the label says which side."""
        element = _pressed(where, button, value)
        assert element is not None, f"there is no {button!r} among {where.buttons}"
        return self._act(where, element)

    async def picks(self, where: Message | View, action_id: str, value: str) -> Interaction:
        """An option of a select menu, by its value."""
        blocks = where.blocks
        for element in elements(blocks):
            options = element.get("options") or []
            if element["action_id"] == action_id and (found := [one for one in options if one["value"] == value]):
                return self._act(where, {**_named(element), "selected_option": found[0]})
        raise AssertionError(f"{action_id} offers no {value}")

    async def submits(self, view: View, **values: Any) -> Interaction:
        """A modal's fields by action_id: text, or the value of an option."""
        assert view.is_open and view.form["type"] == "modal", "there is no such form"
        filled: dict[str, dict[str, Any]] = {}
        for element in elements(view.blocks):
            if element["type"] in ("button", "icon_button"):
                continue
            given = values.pop(element["action_id"], element.get("initial_value") or element.get("initial_option"))
            filled.setdefault(element["block_id"], {})[element["action_id"]] = _filled(element, given)
        assert not values, f"the form has no {list(values)}"
        interaction = self._begin(view=view)
        payload = {**self._shared("view_submission", interaction), "view": view.payload(filled)}
        self.world.interact(INTERACTIVE, payload, interaction)
        return interaction

    async def closes(self, view: View) -> None:
        view.is_open = False
        if view.form.get("notify_on_close"):
            interaction = self._begin(view=view)
            payload = {**self._shared("view_closed", interaction), "view": view.payload(), "is_cleared": False}
            payload.pop("trigger_id")
            self.world.interact(INTERACTIVE, payload, interaction)

    # how

    def _act(self, where: Message | View, action: dict[str, Any]) -> Interaction:
        action = {**action, "action_ts": self.world.next_ts()}
        if isinstance(where, View):
            interaction = self._begin(view=where)
            container: dict[str, Any] = {"type": "view", "view_id": where.id}
            payload = {"container": container, "view": where.payload()}
        else:
            self._join(where.channel)
            interaction = self._begin(channel=where.channel, message=where)
            container = {
                "type": "message", "message_ts": where.ts, "channel_id": where.channel.id,
                "is_ephemeral": where.only_for is not None,
            }  # fmt: skip
            if where.thread_ts is not None:
                container["thread_ts"] = where.thread_ts
            payload = {
                "container": container, "channel": self._place(where.channel),
                "response_url": interaction.response_url,
            }  # fmt: skip
            if where.only_for is None:  # Slack sends no ephemeral message back
                payload["message"] = where.payload()
        self.world.interact(
            INTERACTIVE, {**self._shared("block_actions", interaction), **payload, "actions": [action]}, interaction
        )
        return interaction

    def _begin(
        self, *, channel: Channel | None = None, message: Message | None = None, view: View | None = None
    ) -> Interaction:  # fmt: skip
        interaction = Interaction(
            self.world, self, f"trigger.{secrets.token_hex(8)}", secrets.token_urlsafe(12), channel, message, view,
            began_at=self.world.clock.added,
        )  # fmt: skip
        self.world.interactions.append(interaction)
        return interaction

    def _shared(self, kind: str, interaction: Interaction) -> dict[str, Any]:
        return {
            "type": kind, "team": {"id": self.team_id, "domain": self.world.team_name}, "enterprise": None,
            "user": {"id": self.id, "name": self.name, "team_id": self.team_id} | (
                {} if kind == "message_action" else {"username": self.name}
            ),
            "api_app_id": self.world.app_id, "token": "unused", "trigger_id": interaction.trigger_id,
            "is_enterprise_install": False,
        }  # fmt: skip

    def _place(self, channel: Channel) -> dict[str, str]:
        return {"id": channel.id, "name": channel.name or "directmessage"}

    def _at(self, where: Channel | Message) -> tuple[Channel, str | None]:
        channel = where if isinstance(where, Channel) else where.channel
        self._join(channel)
        return channel, None if isinstance(where, Channel) else where.root_ts

    def _join(self, channel: Channel) -> None:
        if self not in channel.members:
            assert channel.kind == "channel", f"{self} is not in {channel.name}"
            self.world.join(channel, self)

    def _upload(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = self.world.ids.next("F")
        self.world.files[file_id] = content
        kind = name.rpartition(".")[2]
        mimetype = {"png": "image/png", "jpg": "image/jpeg", "txt": "text/plain"}.get(kind, "application/octet-stream")
        return {
            "id": file_id, "name": name, "title": name, "mimetype": mimetype, "filetype": kind, "size": len(content),
            "mode": "hosted", "user": self.id, "url_private": f"{self.world.url}/files/{file_id}/{name}",
            "url_private_download": f"{self.world.url}/files/{file_id}/download/{name}", "is_external": False,
        }  # fmt: skip


def _pressed(where: Message | View, button: str, value: str | None) -> dict[str, Any] | None:
    """What Slack sends of a pressed button."""
    for element in elements(where.blocks):
        if value is not None and element.get("value") != value:
            continue
        shown = labels(element)
        if element["type"] == "feedback_buttons":
            for label, side in zip(shown, ("positive_button", "negative_button"), strict=True):
                if button in (label, side):
                    chosen = element[side]
                    return {**_named(element), "text": chosen["text"], "value": chosen["value"]}
        elif button in shown or button == element["action_id"] or any(button in label for label in shown):
            more = {name: element[name] for name in ("text", "value", "style") if name in element}
            return {**_named(element), **more}
    return None


def _named(element: dict[str, Any]) -> dict[str, Any]:
    return {name: element[name] for name in ("type", "action_id", "block_id")}


def _filled(element: dict[str, Any], given: Any) -> dict[str, Any]:
    if "options" in element:
        chosen = given if isinstance(given, dict) or given is None else None
        chosen = chosen or next((one for one in element["options"] if one["value"] == given), None)
        return {"type": element["type"], "selected_option": chosen}
    return {"type": element["type"], "value": given}
