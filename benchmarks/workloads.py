"""What is asked of every system: requests with their arrival times, prompts and lengths. Knows no system."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from benchmarks.random_base import NAMED
from core.messages import ChatMessage

Arrivals = Literal["at once", "spread"]
Lengths = Literal["equal", "ragged"]

ARRIVALS: tuple[Arrivals, ...] = get_args(Arrivals)
LENGTHS: tuple[Lengths, ...] = get_args(Lengths)
ADAPTERS = 4
PROMPT_TOKENS = 96
NEW_TOKENS = 48
# Ragged prompts are from a third to five thirds of the workload's length.
RAGGED_PROMPT_SHARES = (1 / 3, 5 / 3)
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
    """A kind of load. `draw` makes its requests; other seeds give other texts, lengths and arrival times.

    The requests take turns with `adapters` adapters; ragged prompts have `prompt_tokens` on average.
    """

    requests: int
    arrivals: Arrivals
    lengths: Lengths
    adapters: int = ADAPTERS
    prompt_tokens: int = PROMPT_TOKENS

    @property
    def name(self) -> str:
        words = [f"{self.requests} {self.arrivals}", self.lengths]
        if self.adapters != ADAPTERS:
            words.append(f"{self.adapters} adapters" if self.adapters > 1 else "1 adapter")
        if self.prompt_tokens != PROMPT_TOKENS:
            words.append(f"prompts of {self.prompt_tokens}")
        return ", ".join(words)

    @property
    def longest_tokens(self) -> int:
        """Positions that a request needs at most, prompt and reply together."""
        if self.lengths == "equal":
            return self.prompt_tokens + NEW_TOKENS
        return round(self.prompt_tokens * RAGGED_PROMPT_SHARES[1]) + RAGGED_NEW_TOKENS[1]

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
            requests.append(Request(request_id, arrival_s, index % self.adapters, message, prompt, new_tokens))
            if self.arrivals == "spread":
                arrival_s += rng.expovariate(1 / MEAN_GAP_S)
        return requests

    def _draw_lengths(self, rng: random.Random) -> tuple[int, int]:
        if self.lengths == "equal":
            return self.prompt_tokens, NEW_TOKENS
        fewest, most = (round(self.prompt_tokens * share) for share in RAGGED_PROMPT_SHARES)
        return rng.randint(fewest, most), rng.randint(*RAGGED_NEW_TOKENS)


LONG_PROMPT_REQUESTS = 8


def all_workloads(
    counts: Sequence[int],
    adapters: Sequence[int] = (),
    prompts: Sequence[int] = (),
    *,
    arrivals: Sequence[Arrivals] = ARRIVALS,
    lengths: Sequence[Lengths] = LENGTHS,
) -> list[Workload]:
    """Every one of these kinds of load for these numbers of requests; a lone request cannot be spread.

    Then as many requests at once as the largest of `adapters` for each of these numbers of adapters, and eight at once
    for each length of prompts in tokens.
    """
    usual = [
        Workload(count, arrival, length)
        for count in counts
        for arrival in arrivals
        for length in lengths
        if count > 1 or arrival == "at once"
    ]
    many = [Workload(max(adapters), "at once", "equal", adapters=number) for number in adapters]
    long = [Workload(LONG_PROMPT_REQUESTS, "at once", "equal", prompt_tokens=tokens) for tokens in prompts]
    return usual + many + long
