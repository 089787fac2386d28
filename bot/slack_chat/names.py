"""What Slack's workspaces, channels, threads, people and messages are called in the store. Knows no store."""

from __future__ import annotations

from collections.abc import Sequence

from bot.chat.listed_names import check_listed
from core.names import PersonName, PlaceName
from core.settings import Settings

SOURCE = "slack"
WORKSPACE, CHANNEL, THREAD = "workspace", "channel", "thread"
PLACE_IDS = {WORKSPACE: r"[TE][A-Z0-9]+", CHANNEL: r"[CDG][A-Z0-9]+", THREAD: r"[CDG][A-Z0-9]+/\d+\.\d+"}
PERSON_ID = r"[UWB][A-Z0-9]+"


def user_id(user: str) -> str:
    return str(PersonName(SOURCE, user))


def workspace_place(team: str) -> str:
    return str(PlaceName(SOURCE, WORKSPACE, team))


def channel_place(channel: str) -> str:
    return str(PlaceName(SOURCE, CHANNEL, channel))


def thread_place(channel: str, root_ts: str) -> str:
    """A thread as a place, and as the conversation that it is. A channel's timestamps are its own, so both count."""
    return str(PlaceName(SOURCE, THREAD, message_key(channel, root_ts)))


def prefix_of(kind: str) -> str:
    """What the names of all places of this kind begin with."""
    return PlaceName(SOURCE, kind, "").prefix


def is_dm(channel: str) -> bool:
    """Whether a channel is a person's direct messages with the bot: Slack's ids say so."""
    return channel.startswith("D")


def places_of(team: str, channel: str, root_ts: str | None = None) -> tuple[str, ...]:
    """Where something stands, the narrowest place first: thread, channel, workspace."""
    threads = () if root_ts is None else (thread_place(channel, root_ts),)
    return *threads, channel_place(channel), workspace_place(team)


def needs_permission(place_ids: Sequence[str]) -> bool:
    """Whether those who manage a place decide there what may be kept; in direct messages the person alone does."""
    return not any(place.startswith(channel_place("D")) for place in place_ids)


def message_key(channel: str, ts: str) -> str:
    """A message's id in deliveries and as a question: unique over Slack, and enough to find it again."""
    return f"{channel}/{ts}"


def is_message(key: str) -> bool:
    """Whether this is a `message_key`, not what was typed into a form."""
    return "/" in key


def split_key(key: str) -> tuple[str, str]:
    """Channel and timestamp of a key."""
    channel, _, ts = key.partition("/")
    return channel, ts


def check_names(settings: Settings) -> None:
    """Raises InvalidSetting for a place or person of Slack's that no Slack can have."""
    check_listed(settings, SOURCE, "Slack", PLACE_IDS, PERSON_ID)
