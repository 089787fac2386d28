from __future__ import annotations

import pytest

from tests.running.real_server import real_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One `personas serve` on the default model for all tests that leave it running."""
    with real_server(tmp_path_factory.mktemp("server")) as running:
        yield running
