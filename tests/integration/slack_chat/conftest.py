"""A room for tests of the bot on Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.slack.rooms import SlackRoom, slack_room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[SlackRoom]:
    async with slack_room(tmp_path) as found:
        yield found
