"""How long tests wait for what must come. A busy machine may be slow, which is no failure."""

from __future__ import annotations

TIMEOUT_S = 120.0
