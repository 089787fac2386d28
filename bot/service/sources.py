"""The ways in: what writes exchanges or examples, each under the name that its platform declares."""

from __future__ import annotations

from core.errors import InvalidSetting
from core.settings import Settings

SERVER_SOURCES = ("api", "discord", "playground", "slack")
CHAT_SOURCES = ("terminal",)
OTHER_SOURCES = ("author",)  # people write examples themselves
ALL_SOURCES = tuple(sorted(SERVER_SOURCES + CHAT_SOURCES + OTHER_SOURCES))


def check_training_sources(settings: Settings) -> None:
    """A name that is misspelt would hold back examples without a word. Raises InvalidSetting."""
    if unknown := settings.allowed_training_sources.difference(ALL_SOURCES):
        raise InvalidSetting(
            f"Bad setting: PERSONAS_TRAINING_SOURCES: unknown source {', '.join(sorted(unknown))};"
            f" known are {', '.join(ALL_SOURCES)}."
        )
