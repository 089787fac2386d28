"""Holds calls, answers and events against Slack's own descriptions, and collects what differs.

Two kinds are at hand: a Swagger file of the Web API from 2021, without streams, assistant and markdown, and samples of
today's answers and payloads, whose keys are complete although their values mean nothing. So arguments are held against
the file and what has been added since, and the fake's own answers and events against both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
REASON = "Slack's descriptions are missing: set SLACK_CONTRACTS or put them into ../shared/contracts"
FILE, SAMPLES = "slack-web-api-2021.json", "slack-samples"
# Arguments that today's documentation has and the file has not.
IDENTITY = {"username", "icon_emoji", "icon_url"}
STREAM = {"channel", "ts", "markdown_text", "chunks"}
THREAD = {"channel_id", "thread_ts"}
NEWER: dict[str, set[str]] = {
    "chat.postMessage": {"markdown_text", "metadata", "client_msg_id"},
    "chat.update": {"markdown_text", "metadata", "reply_broadcast", "file_ids", "link_names", "parse"},
    "chat.postEphemeral": {"markdown_text"},
    "chat.startStream": STREAM - {"ts"} | IDENTITY | {
        "thread_ts", "recipient_user_id", "recipient_team_id", "task_display_mode"
    },
    "chat.appendStream": STREAM,
    "chat.stopStream": STREAM | {"blocks", "metadata", "session_status"},
    "assistant.threads.setStatus": THREAD | IDENTITY | {"status", "loading_messages"},
    "assistant.threads.setSuggestedPrompts": THREAD | {"title", "prompts"},
    "assistant.threads.setTitle": THREAD | {"title"},
    "apps.connections.open": set(),
    "files.getUploadURLExternal": {"filename", "length", "snippet_type", "alt_txt"},
    "files.completeUploadExternal": {"files", "channel_id", "channels", "initial_comment", "thread_ts", "blocks"},
    "conversations.replies": {"include_all_metadata"},
    "conversations.history": {"include_all_metadata"},
    "conversations.open": {"prevent_creation"},
    "views.open": {"interactivity_pointer"},
    "views.push": {"interactivity_pointer"},
    "auth.test": set(),
}  # fmt: skip
# What samples lack because no sample was taken of it.
LOOSE = {"blocks", "attachments", "files", "metadata", "view", "state", "reactions", "icons", "warning", "values"}
ALSO = {
    "client_msg_id", "team", "edited", "hidden", "upload", "reply_users", "user", "subtype", "bot_profile", "app_id",
    "username", "parent_user_id", "event_ts", "api_app_id", "bot_id",
}  # fmt: skip
UNFINISHED = {"api__chat.stopStream"}  # samples of refusals only
EVERYWHERE = {"team_id"}  # an argument of every method, for tokens of whole organisations


def contracts_folder() -> Path:
    """Where the descriptions lie: named by SLACK_CONTRACTS, else beside the repository."""
    return Path(os.environ.get("SLACK_CONTRACTS", REPOSITORY.parent / "shared" / "contracts"))


def load_contract() -> Contract | None:
    """None where the descriptions are missing. In CI, where they may not be, raises FileNotFoundError."""
    folder = contracts_folder()
    if (folder / FILE).is_file() and (folder / SAMPLES).is_dir():
        return Contract(_paths(folder / FILE), folder / SAMPLES)
    if os.environ.get("CI") == "true":
        raise FileNotFoundError(REASON)
    return None


@cache
def _paths(file: Path) -> dict[str, dict[str, Any]]:
    """By method: its arguments as the file describes them."""
    paths = json.loads(file.read_text(encoding="utf-8"))["paths"]
    return {
        path.removeprefix("/"): {one["name"]: one for one in next(iter(operations.values()))["parameters"]}
        for path, operations in paths.items()
    }  # fmt: skip


@cache
def _sample(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


class Contract:
    """One fake's findings. `violations` is a list of sentences; `checked` counts calls, answers and payloads."""

    def __init__(self, methods: dict[str, dict[str, Any]], samples: Path) -> None:
        self._methods = methods
        self._samples = samples
        self.violations: list[str] = []
        self.checked = 0

    def check(self) -> None:
        """Raises AssertionError that lists every violation."""
        if self.violations:
            raise AssertionError(f"{len(self.violations)} violations of the contract:\n" + "\n".join(self.violations))

    def request(self, method: str, given: dict[str, Any]) -> None:
        described = self._methods.get(method, {})
        if not described and method not in NEWER:
            return
        self.checked += 1
        for name, value in given.items():
            if name not in described and name not in NEWER.get(method, set()) | EVERYWHERE:
                self.violations.append(f"{method}: {name}={value!r} is no argument of it")
            elif not _is_of(described.get(name, {}).get("type"), name, value):
                self.violations.append(f"{method}: {name}={value!r} is not of the described type")
        for name, one in described.items():
            if one.get("required") and name != "token" and given.get(name) is None:
                self.violations.append(f"{method}: {name} is missing")

    def answer(self, method: str, answer: dict[str, Any]) -> None:
        self._hold(f"api__{method}", answer, f"{method}: answer")

    def payload(self, sample: str, payload: dict[str, Any]) -> None:
        self._hold(sample, payload, sample)

    def _hold(self, sample: str, shown: dict[str, Any], what: str) -> None:
        found = _sample(self._samples / f"{sample}.json")
        if found is None or sample in UNFINISHED:
            return
        self.checked += 1
        self.violations += [f"{what}: {path} is in no sample of it" for path in _unknown_keys(shown, found)]


def _unknown_keys(shown: Any, sample: Any, path: str = "") -> Iterator[str]:
    """Keys that the fake sends and Slack's sample does not have."""
    if isinstance(shown, dict) and isinstance(sample, dict) and sample:
        for name, value in shown.items():
            if name in sample:
                if name not in LOOSE:
                    yield from _unknown_keys(value, sample[name], f"{path}/{name}")
            elif name not in ALSO and name not in LOOSE:
                yield f"{path}/{name}"
    elif isinstance(shown, list) and isinstance(sample, list) and sample:
        for one in shown:
            yield from _unknown_keys(one, sample[0], path)


def _is_of(kind: str | None, name: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool) or str(value).lower() in ("0", "1", "true", "false")
    if kind == "integer":
        return isinstance(value, int) or str(value).isdigit()
    if kind == "string" and name in ("blocks", "attachments", "view"):
        return isinstance(value, str | list | dict)
    if kind == "string":
        return isinstance(value, str | bool)  # as_user and link_names are described as strings here and there
    return True
