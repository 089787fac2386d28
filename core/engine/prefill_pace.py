"""How many tokens of a long prompt a step may read beside replies that are being written. Pure policy.

A step with them takes at most STRETCH times as long as one without, as far as earlier steps tell. Short prompts are
over soon, and the sooner they are read, the fuller the batch.
"""

from __future__ import annotations

STRETCH = 2.0
LONG_PROMPT_TOKENS = 1_024
MIN_TOKENS = 4
# Weight of the latest step in the running means.
LATEST = 0.2


class PrefillPace:
    """Learns from every step what decoding and what a prompt token costs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._decode_s: float | None = None
        self._token_s: float | None = None

    def tokens_for(self, prompt_tokens: int, decoding: int) -> int:
        """How many tokens of a prompt with so many to read fit into a step in which so many replies decode."""
        if decoding == 0 or prompt_tokens < LONG_PROMPT_TOKENS or self._decode_s is None or self._token_s is None:
            return self._most
        return max(MIN_TOKENS, min(self._most, int((STRETCH - 1) * self._decode_s / self._token_s)))

    def note(self, decoding: int, prompt_tokens: int, seconds: float) -> None:
        """Tell how long a step of so many decoding replies and prompt tokens took."""
        if prompt_tokens == 0:
            self._decode_s = _blend(self._decode_s, seconds)
            return
        decode_s = (self._decode_s or 0.0) if decoding else 0.0
        # At least something, where a step with a prompt happened to be faster than those without.
        self._token_s = _blend(self._token_s, max(seconds - decode_s, 0.05 * seconds) / prompt_tokens)


def _blend(mean: float | None, latest: float) -> float:
    return latest if mean is None else mean + LATEST * (latest - mean)
