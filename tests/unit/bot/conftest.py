from __future__ import annotations

import pytest

from core.store.db import Store
from tests.store_examples import sqlite_url


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(sqlite_url(tmp_path / "personas.db"), create_or_upgrade=True)
    yield opened
    await opened.close()
