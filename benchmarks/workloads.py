"""What is asked of every system: requests with their arrival times, prompts and lengths. Knows no system."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.random_base import ADAPTERS, NAMED
from core.messages import ChatMessage

Arrivals = Literal["at once", "spread"]
Lengths = Literal["equal", "ragged"]

PROMPT_TOKENS = 96
NEW_TOKENS = 48
RAGGED_PROMPT_TOKENS = (32, 160)
RAGGED_NEW_TOKENS = (16, 80)
# Tokens of the chat template around one user message.
TEMPLATE_TOKENS = 5
# Spread arrivals are a Poisson process with this many seconds between two requests on average.
MEAN_GAP_S = 0.25


@dataclass(frozen=True)
class Request:
    """One reply to write: `new_tokens` greedy tokens after `prompt`, which is `message` in the chat template.

    `arrival_s` counts from the start of the workload, `adapter` from 0.
    """

    request_id: str
    arrival_s: float
    adapter: int
    message: ChatMessage
    prompt: tuple[int, ...]
    new_tokens: int


@dataclass(frozen=True)
class Workload:
    """A kind of load. `draw` makes its requests; other seeds give other texts, lengths and arrival times."""

    requests: int
    arrivals: Arrivals
    lengths: Lengths

    @property
    def name(self) -> str:
        return f"{self.requests} {self.arrivals}, {self.lengths}"

    def draw(self, encode: Callable[[Sequence[ChatMessage]], list[int]], vocab: int, seed: str) -> list[Request]:
        """The requests of one round. Every round has its own texts, so that no cache can know them already."""
        rng = random.Random(f"{seed}/{self.name}")
        arrival_s = 0.0
        requests = []
        for index in range(self.requests):
            prompt_tokens, new_tokens = self._draw_lengths(rng)
            words = [f"w{rng.randrange(len(NAMED), vocab)}" for _ in range(prompt_tokens - TEMPLATE_TOKENS)]
            message = ChatMessage("user", " ".join(words))
            prompt = tuple(encode([message]))
            if len(prompt) != prompt_tokens:
                raise ValueError(f"The prompt has {len(prompt)} tokens instead of {prompt_tokens}.")
            request_id = f"{seed}/{self.name}/{index}"
            requests.append(Request(request_id, arrival_s, index % ADAPTERS, message, prompt, new_tokens))
            if self.arrivals == "spread":
                arrival_s += rng.expovariate(1 / MEAN_GAP_S)
        return requests

    def _draw_lengths(self, rng: random.Random) -> tuple[int, int]:
        if self.lengths == "equal":
            return PROMPT_TOKENS, NEW_TOKENS
        return rng.randint(*RAGGED_PROMPT_TOKENS), rng.randint(*RAGGED_NEW_TOKENS)


def all_workloads(counts: Sequence[int]) -> list[Workload]:
    """Every kind of load for these numbers of requests; a lone request cannot be spread."""
    kinds: tuple[Arrivals, Arrivals] = ("at once", "spread")
    lengths: tuple[Lengths, Lengths] = ("equal", "ragged")
    return [
        Workload(count, arrivals, length)
        for count in counts
        for arrivals in kinds
        for length in lengths
        if count > 1 or arrivals == "at once"
    ]
