"""Attacks go against a real server."""

from __future__ import annotations

import os

import pytest

from tests.running.serving import live_server

__all__ = ["live_server"]


@pytest.fixture(autouse=True)
def usual_umask():
    """Whatever the shell that runs the tests lets others read."""
    before = os.umask(0o022)
    yield
    os.umask(before)
