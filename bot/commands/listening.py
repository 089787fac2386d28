"""Binds the address that a server will answer at. Knows no server, so that the doctor can try it too."""

from __future__ import annotations

import errno
import socket

from core.errors import InvalidSetting


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything is loaded. Raises InvalidSetting in one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidSetting(
                f"Port {port} on {host} is taken by another program; stop that, or choose another with --port"
                " or PERSONAS_PORT."
            ) from error
        raise InvalidSetting(
            f"Nothing can listen on {host} port {port} ({error.strerror}); check PERSONAS_HOST and PERSONAS_PORT."
        ) from error
