"""Attacks go against a real server."""

from tests.running.serving import live_server

__all__ = ["live_server"]
