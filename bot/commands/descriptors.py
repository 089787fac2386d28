"""How many files and sockets this process may have open. Knows no server."""

from __future__ import annotations

RESERVED = 160  # for the database, the model's files, Discord and what else is open
FEW = 16
UNKNOWN = 512  # Windows counts differently, and has room for as many in any case


def raise_descriptor_limit() -> int:
    """Let the process have as many descriptors as the system allows; how many that are."""
    try:
        import resource
    except ImportError:  # Windows
        return UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 10_240):  # macOS says that there is no limit, and takes no more than this
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            continue
        soft = wanted
        break
    return soft if soft > 0 else 10_240


def connections_for(descriptors: int) -> int:
    """How many connections fit beside what else is open."""
    return max(FEW, descriptors - RESERVED)
