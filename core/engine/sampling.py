"""Chooses the next token of every row of a batch. Each row follows its own parameters and its own random numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from core.generation import SamplingParams

# Rows with top_k or top_p look at this many candidates first; a full sort of a large vocabulary is slow.
CANDIDATES = 256
# Any temperature below it chooses the likeliest token, and one that rounds to zero would divide by it.
COLDEST = 1e-30


@dataclass(slots=True)
class RowSampler:
    """Sampling state of one reply.

    `seen` marks the tokens of prompt and reply, `counts` counts those of the reply: [vocab] each, and None where no
    penalty asks for it.
    """

    params: SamplingParams
    random: random.Random
    seen: torch.Tensor | None = None
    counts: torch.Tensor | None = None

    @classmethod
    def start(
        cls, params: SamplingParams, tokens: list[int], vocab: int, device: torch.device, written: int = 0
    ) -> RowSampler:
        """State for a reply of which the last `written` tokens are there already: its random numbers go on behind them.

        Without a seed they come from the operating system.
        """
        seen = None
        if params.repetition_penalty != 1:
            seen = torch.zeros(vocab, dtype=torch.bool, device=device)
            seen[torch.tensor(tokens, device=device)] = True
        counts = None
        if params.presence_penalty or params.frequency_penalty:
            counts = torch.bincount(torch.tensor(tokens[len(tokens) - written :], dtype=torch.long), minlength=vocab)
            counts = counts.to(device=device, dtype=torch.float32)
        numbers = random.Random(params.seed)
        for _ in range(written):
            numbers.random()
        return cls(params, numbers, seen, counts)

    @property
    def is_penalised(self) -> bool:
        return self.seen is not None or self.counts is not None

    @property
    def is_plain_greedy(self) -> bool:
        return self.params.temperature == 0 and not self.is_penalised

    @property
    def is_limited(self) -> bool:
        """Whether only the likeliest tokens may be chosen."""
        return self.params.top_k > 0 or self.params.top_p < 1

    def note(self, token: int) -> None:
        """Remember a chosen token for the penalties."""
        if self.seen is not None:
            self.seen[token] = True
        if self.counts is not None:
            self.counts[token] += 1


@torch.inference_mode()
def sample(logits: torch.Tensor, rows: list[RowSampler]) -> list[int | None]:
    """One token id per row of logits [rows, vocab]; None where a row holds NaN or infinity.

    The order is transformers' own: repetition penalty, temperature, top_k, top_p; the two other penalties follow the
    first. One uniform number per token picks from the cumulative distribution, so tiny rounding differences between
    batches almost never change the choice.
    """
    if not all(row.is_plain_greedy for row in rows):
        logits = _penalise(logits.float(), rows)
    best, tokens = logits.max(dim=-1)
    # One transfer tells the likeliest tokens and, by -1, the rows that hold no numbers.
    likeliest: list[int] = torch.where(best.isfinite(), tokens, -1).tolist()
    chosen = [token if token >= 0 else None for token in likeliest]
    drawn = [i for i, row in enumerate(rows) if row.params.temperature > 0 and chosen[i] is not None]
    if drawn:
        for index, drawn_token in zip(drawn, _draw(logits[drawn], [rows[i] for i in drawn]), strict=True):
            chosen[index] = drawn_token
    for row, token in zip(rows, chosen, strict=True):
        if token is not None:
            row.note(token)
    return chosen


def _penalise(logits: torch.Tensor, rows: list[RowSampler]) -> torch.Tensor:
    """Make what stands there already less likely, row by row.

    The repetition penalty divides positive and multiplies negative logits of seen tokens (CTRL, arXiv:1909.05858). Then
    presence_penalty is taken off each token of the reply, and frequency_penalty as often as the token stands there
    (https://platform.openai.com/docs/api-reference/chat/create).
    """
    for index, row in enumerate(rows):
        if row.seen is not None:
            penalty = row.params.repetition_penalty
            scores = logits[index]
            logits[index] = torch.where(row.seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)
        if row.counts is not None:
            logits[index] -= row.params.frequency_penalty * row.counts
            logits[index] -= row.params.presence_penalty * (row.counts > 0)
    return logits


def _draw(logits: torch.Tensor, rows: list[RowSampler]) -> list[int]:
    temperatures = torch.tensor([max(row.params.temperature, COLDEST) for row in rows], device=logits.device)
    # Subtracting the maximum first keeps low temperatures finite.
    scores = (logits - logits.amax(-1, keepdim=True)) / temperatures.unsqueeze(-1)
    probs = scores.softmax(-1)
    draws = torch.tensor([row.random.random() for row in rows], dtype=torch.float64, device=logits.device)
    tokens = torch.zeros(len(rows), dtype=torch.long, device=logits.device)
    limited = [i for i, row in enumerate(rows) if row.is_limited]
    if free := [i for i, row in enumerate(rows) if not row.is_limited]:
        tokens[free] = _pick(probs[free].cumsum(-1, dtype=torch.float64), draws[free])
    if limited:
        tokens[limited] = _pick_limited(probs[limited], [rows[i].params for i in limited], draws[limited])
    chosen: list[int] = tokens.tolist()
    return chosen


def _pick_limited(probs: torch.Tensor, params: list[SamplingParams], draws: torch.Tensor) -> torch.Tensor:
    """Rank CANDIDATES tokens per row; rank all of the vocabulary only for the rows that need more.

    Which of the two a row gets depends on that row alone, so that its seed gives the same reply in any company.
    """
    vocab = probs.shape[-1]
    top_k = torch.tensor([row.top_k or vocab for row in params], device=probs.device).clamp_max_(vocab)
    top_p = torch.tensor([row.top_p for row in params], dtype=torch.float64, device=probs.device)
    values, indices = probs.topk(min(CANDIDATES, vocab), dim=-1)
    # Without top_k, enough are ranked once they hold top_p of all probability.
    is_enough = (top_k <= CANDIDATES) | (top_k == vocab) & (top_p < 1) & (values.sum(-1, dtype=torch.float64) >= top_p)
    tokens = _pick_ranked(values, indices, top_k, top_p, draws)
    if not bool(is_enough.all()):
        more = ~is_enough
        values, indices = probs[more].sort(dim=-1, descending=True, stable=True)
        tokens[more] = _pick_ranked(values, indices, top_k[more], top_p[more], draws[more])
    return tokens


def _pick_ranked(
    values: torch.Tensor, indices: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, draws: torch.Tensor
) -> torch.Tensor:
    """Token ids from probabilities in falling order [rows, ranked].

    top_k keeps the k likeliest; top_p then keeps the fewest of them that hold that share of their probability
    (nucleus sampling, arXiv:1904.09751).
    """
    ranked = values.shape[-1]
    sums = values.cumsum(-1, dtype=torch.float64)
    share = sums.gather(-1, (top_k.clamp_max(ranked) - 1).unsqueeze(-1)).squeeze(-1)
    # Where more than the ranked tokens are allowed, their share is all of it.
    needed = (sums - values < (top_p * torch.where(top_k <= ranked, share, 1.0)).unsqueeze(-1)).sum(-1)
    is_kept = torch.arange(ranked, device=values.device) < torch.minimum(needed, top_k).clamp_min(1).unsqueeze(-1)
    # Drawn in the order of ids: where two tokens are nearly as likely, any rounding changes their ranks.
    order = indices.where(is_kept, -1).argsort(-1)
    sums = (values * is_kept).gather(-1, order).cumsum(-1, dtype=torch.float64)
    places = _pick(sums, draws)
    return indices.gather(-1, order).gather(-1, places.unsqueeze(-1)).squeeze(-1)


def _pick(sums: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """The place where each draw from [0, 1) falls among cumulative probabilities [rows, n], whose last is above 0."""
    targets = draws.unsqueeze(-1) * sums[:, -1:]
    return torch.searchsorted(sums, targets, right=True).clamp_max_(sums.shape[-1] - 1).squeeze(-1)
