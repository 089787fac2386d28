"""What the app hears: which events its subscriptions and scopes let through, and how Slack wraps them."""

from __future__ import annotations

from typing import Any

from tests.fakes.fake_slack.channels import HISTORY_SCOPES, READ_SCOPES, Channel
from tests.fakes.fake_slack.contract import Contract
from tests.fakes.fake_slack.interactions import Interaction
from tests.fakes.fake_slack.socket_mode import EVENTS, SocketMode
from tests.fakes.fake_slack.world import World

EVERY_EVENT = {
    "app_mention", "message.channels", "message.groups", "message.im", "reaction_added", "reaction_removed",
    "app_home_opened", "app_uninstalled", "tokens_revoked", "member_joined_channel", "member_left_channel",
    "channel_archive", "channel_deleted", "channel_left", "group_archive", "group_deleted", "group_left",
    "assistant_thread_started", "assistant_thread_context_changed",
}  # fmt: skip
MESSAGES = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}
SCOPES = {"app_mention": "app_mentions:read", "reaction_added": "reactions:read", "reaction_removed": "reactions:read"}
# These come although the bot is in no channel, or no longer.
EVERYWHERE = {"channel_deleted", "channel_archive", "app_home_opened", "app_uninstalled", "tokens_revoked"}
SAMPLES = {
    "app_mention": "AppMention", "reaction_added": "ReactionAdded", "reaction_removed": "ReactionRemoved",
    "app_home_opened": "AppHomeOpened", "app_uninstalled": "AppUninstalled", "tokens_revoked": "TokensRevoked",
    "member_joined_channel": "MemberJoinedChannel",
}  # fmt: skip
SUBTYPES = {
    None: "Message", "bot_message": "MessageBot", "message_changed": "MessageChanged", "file_share": "MessageFileShare",
    "message_deleted": "MessageDeleted", "me_message": "MessageMe", "thread_broadcast": "MessageThreadBroadcast",
}  # fmt: skip
INTERACTIVE_SAMPLES = {
    "block_actions": "interactive-components__BlockActionPayload",
    "message_action": "interactive-components__MessageShortcutPayload",
    "view_submission": "views__ViewSubmissionPayload", "view_closed": "views__ViewClosedPayload",
    None: "slash-commands__SlashCommandPayload",
}  # fmt: skip


class AppEvents:
    """`subscribed` are the names in the app's settings, `scopes` the bot token's; tests may change both."""

    def __init__(self, world: World, socket: SocketMode, scopes: set[str], contract: Contract | None) -> None:
        self.world = world
        self.socket = socket
        self.scopes = scopes
        self.subscribed = set(EVERY_EVENT)
        self.contract = contract

    def emit(self, kind: str, event: dict[str, Any], channel: Channel | None = None) -> None:
        if not self._is_heard(kind, channel):
            return
        ts = self.world.next_ts()
        whole = {"event_ts": ts, **event, "type": kind}
        authorization = {
            "enterprise_id": None, "team_id": self.world.team_id, "user_id": self.world.bot.id, "is_bot": True,
            "is_enterprise_install": False,
        }  # fmt: skip
        payload = {
            "token": "unused", "team_id": self.world.team_id, "api_app_id": self.world.app_id, "event": whole,
            "type": "event_callback", "event_id": self.world.ids.next("Ev"), "event_time": int(float(ts)),
            "authorizations": [authorization], "is_ext_shared_channel": False, "event_context": "4-unused",
        }  # fmt: skip
        if self.contract is not None:
            name = SUBTYPES.get(event.get("subtype")) if kind == "message" else SAMPLES.get(kind)
            if name is not None:
                self.contract.payload(f"events__{name}Payload", payload)
        self.socket.send(EVENTS, payload)

    def interact(self, kind: str, payload: dict[str, Any], interaction: Interaction) -> None:
        if self.contract is not None:
            self.contract.payload(f"app-backend__{INTERACTIVE_SAMPLES[payload.get('type')]}", payload)
        interaction.envelope = self.socket.send(kind, payload)

    def _is_heard(self, kind: str, channel: Channel | None) -> bool:
        name, scope = kind, SCOPES.get(kind)
        if kind == "message" and channel is not None:
            name, scope = MESSAGES[channel.kind], HISTORY_SCOPES[channel.kind]
        elif kind.startswith(("channel_", "group_", "member_")) and channel is not None:
            scope = READ_SCOPES[channel.kind]
        if name not in self.subscribed or (scope is not None and scope not in self.scopes):
            return False
        return channel is None or kind in EVERYWHERE or channel.has_bot
