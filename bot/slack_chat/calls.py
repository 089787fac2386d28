"""What Slack and the network may say to a call, as errors of ours. Knows no messages."""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.chat.calls import Calls, Passing
from bot.chat.platform import ScreenGone, ScreenRefused

TOO_MANY_REQUESTS = 429
PASSING = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
GONE = frozenset({"channel_not_found", "message_not_found", "thread_not_found", "is_archived", "user_not_found"})
BAD_TOKENS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)
REASONS = {
    "not_in_channel": "The bot is not in this channel; invite it with /invite.",
    "missing_scope": "The bot lacks a scope ({needed}); `personas doctor` says where to add it.",
    "restricted_action": "This workspace does not let the bot write here.",
    "cant_delete_message": "Slack does not let the bot delete this message.",
    **dict.fromkeys(BAD_TOKENS, "Slack does not accept the bot's token any more; see docs/slack.md."),
}

OUTAGES = (SlackApiError, aiohttp.ClientError, OSError, TimeoutError)
"""What slack_sdk raises."""


class Refused(ScreenRefused):
    """Slack said no; `code` is its own word for why, and `needed` the scope that is missing."""

    def __init__(self, sentence: str, code: str, needed: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.needed = needed


def code_of(error: BaseException) -> str:
    """Slack's own word for what went wrong, or the name of the network's error."""
    if not isinstance(error, SlackApiError):
        return type(error).__name__
    data = error.response.data
    return str(data.get("error", "")) if isinstance(data, dict) else f"status {error.response.status_code}"


def is_passing(error: BaseException) -> bool:
    """Whether Slack, or the network, may well say something else later."""
    if not isinstance(error, SlackApiError):
        return True
    status = error.response.status_code
    return status >= 500 or status == TOO_MANY_REQUESTS or code_of(error) in PASSING


def _retry_after_s(error: BaseException) -> float:
    """How long Slack wants to be left alone; 0 where it does not say."""
    if not isinstance(error, SlackApiError):
        return 0.0
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    try:
        return float(headers.get("retry-after", 0))
    except (TypeError, ValueError):
        return 0.0


def _judged(error: BaseException) -> Passing | Exception:
    if not isinstance(error, SlackApiError) or is_passing(error):
        return Passing(code_of(error), _retry_after_s(error))
    code = code_of(error)
    if code in GONE:
        return ScreenGone("The channel or the message is gone.")
    needed = str(error.response.get("needed") or "")
    reason = REASONS.get(code, f"Slack refused it ({code}).")
    return Refused(reason.format(needed=needed), code, needed)


attempt = Calls("Slack", OUTAGES, _judged).attempt
"""Asks Slack for something. Raises ScreenGone, Refused, and ScreenUnreachable."""
