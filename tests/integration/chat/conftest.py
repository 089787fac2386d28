"""The rules of the chat for a platform that is none, on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from bot.chat.access import AccessLimits
from bot.chat.chat_parts import ChatParts
from bot.chat.platform import Capabilities
from core.settings import Settings
from core.store.db import Store
from tests.examples.store import persona, sqlite_url

PLATFORM = Capabilities("test", "Test", 64, 4, 5.0, "({})", ("message",), True, "town")


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[ChatParts]:
    store = await Store.open(sqlite_url(tmp_path / "personas.db"), create_or_upgrade=True)
    personas = {"zen": persona(tmp_path / "zen")}
    yield ChatParts.of(
        PLATFORM,
        store,
        personas,
        Settings(data_dir=tmp_path),
        AccessLimits(),
        default_persona="zen",
        responder=lambda: cast(Any, None),
        registry=cast(Any, None),
    )
    await store.close()
