from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.engine.sampling import CANDIDATES, RowSampler, sample
from core.generation import SamplingParams

PROMPT = [1, 5, 5, 9]


def row(prompt=PROMPT, vocab=50, **params):
    return RowSampler.start(SamplingParams(**params), list(prompt), vocab, torch.device("cpu"))


def random_logits(rows, vocab, seed=0, spread=3.0):
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * spread


def expected_token(logits, params, prompt):
    """What transformers' own processors and the same uniform number give, which counts in the order of ids."""
    scores = logits[None].clone()
    if params.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(params.repetition_penalty)(torch.tensor([prompt]), scores)
    if params.temperature == 0:
        return int(scores.argmax())
    scores = TemperatureLogitsWarper(params.temperature)(None, scores)
    if params.top_k:
        scores = TopKLogitsWarper(params.top_k)(None, scores)
    if params.top_p < 1:
        scores = TopPLogitsWarper(params.top_p)(None, scores)
    probs = scores.softmax(-1)[0].double()
    place = torch.searchsorted(probs.cumsum(0), random.Random(params.seed).random() * probs.sum(), right=True)
    return min(int(place), len(probs) - 1)


params_strategy = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 3, 40, 300, 10_000]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.7]),
    seed=st.integers(0, 1000),
)


@settings(max_examples=60)
@given(st.lists(params_strategy, min_size=1, max_size=6), st.integers(0, 100), st.sampled_from([0.01, 1.0, 8.0]))
def test_every_row_of_a_batch_chooses_as_transformers_would_alone(batch, seed, spread):
    vocab = 2 * CANDIDATES
    logits = random_logits(len(batch), vocab, seed, spread)
    expected = [expected_token(scores, params, PROMPT) for scores, params in zip(logits, batch, strict=True)]
    rows = [RowSampler.start(params, PROMPT, vocab, torch.device("cpu")) for params in batch]
    assert sample(logits.clone(), rows) == expected


def test_a_seed_gives_the_same_tokens_in_any_company():
    params = {"temperature": 1.0, "top_p": 0.95, "seed": 7}
    steps = [random_logits(1, 600, seed) for seed in range(20)]
    alone_row = row(vocab=600, **params)
    alone = [sample(logits.clone(), [alone_row])[0] for logits in steps]
    company = [row(vocab=600, temperature=t, top_k=k, seed=1) for t, k in ((0.0, 0), (2.0, 0), (1.0, 400))]
    one_of_many = row(vocab=600, **params)
    together = [sample(torch.cat([logits, random_logits(3, 600, 99)]), [one_of_many, *company])[0] for logits in steps]
    assert together == alone
    assert len(set(alone)) > 5


@pytest.mark.parametrize("limits", [{}, {"top_p": 0.9}, {"top_k": 400}])
def test_rounding_that_swaps_the_ranks_of_tokens_nearly_as_likely_changes_no_choice(limits):
    logits = torch.linspace(0, 1, 300).repeat_interleave(2).unsqueeze(0)  # each as likely as its neighbour
    rounded = logits + random_logits(1, 600) * 1e-7

    def choices(scores):
        return [
            sample(scores.clone(), [row(vocab=600, temperature=1.0, seed=seed, **limits)])[0] for seed in range(200)
        ]

    assert not torch.equal(logits.argsort(stable=True), rounded.argsort(stable=True))
    assert choices(rounded) == choices(logits)


@pytest.mark.parametrize("limits", [{}, {"top_p": 0.9}, {"top_k": 5}])
@pytest.mark.parametrize("temperature", [1e-20, 1e-40, 1e-46, 1e-300])
def test_the_lowest_temperatures_choose_the_likeliest_token(temperature, limits):
    logits = random_logits(1, 300)
    assert sample(logits.clone(), [row(vocab=300, temperature=temperature, seed=1, **limits)]) == [int(logits.argmax())]


def test_different_seeds_differ_and_no_seed_is_drawn_anew():
    logits = torch.zeros(1, 50)

    def draw(seed):
        sampler = row(temperature=1.0, seed=seed)
        return [sample(logits.clone(), [sampler])[0] for _ in range(20)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(None) != draw(None)


def test_the_frequencies_follow_the_probabilities():
    sampler = row(vocab=4, prompt=[0], temperature=1.0, seed=3)
    logits = torch.tensor([[0.5, 0.25, 0.25, 0.0]]).log()
    counts = [0] * 4
    for _ in range(2000):
        counts[sample(logits.clone(), [sampler])[0]] += 1
    assert counts[3] == 0
    assert counts[0] == pytest.approx(1000, abs=100)
    assert counts[1] == pytest.approx(500, abs=90)


def test_the_penalty_covers_the_prompt_and_what_was_written():
    sampler = row(vocab=4, prompt=[0], repetition_penalty=2.0, temperature=0)
    logits = torch.tensor([[4.0, 3.0, 2.5, -1.0]])
    assert [sample(logits.clone(), [sampler])[0] for _ in range(3)] == [1, 2, 0]


def expected_penalised(logits, params, reply):
    """OpenAI's formula, written out token by token."""
    scores = logits.clone()
    for token in set(reply):
        scores[token] -= reply.count(token) * params.frequency_penalty + params.presence_penalty
    return scores


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            SamplingParams,
            temperature=st.sampled_from([0.0, 1.0]),
            top_p=st.sampled_from([0.9, 1.0]),
            presence_penalty=st.sampled_from([0.0, 0.5, 2.0, -2.0]),
            frequency_penalty=st.sampled_from([0.0, 0.25, 2.0, -1.0]),
            seed=st.integers(0, 1000),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 100),
)
def test_presence_and_frequency_penalties_follow_openai_s_formula_in_every_row(batch, seed):
    rows = [RowSampler.start(params, PROMPT, 50, torch.device("cpu")) for params in batch]
    replies = [[] for _ in batch]
    for step in range(6):
        logits = random_logits(len(batch), 50, seed + step, 1.0)
        for params, scores, reply, token in zip(batch, logits, replies, sample(logits.clone(), rows), strict=True):
            numbers = random.Random(params.seed)
            for _ in reply:
                numbers.random()
            alone = RowSampler(SamplingParams(temperature=params.temperature, top_p=params.top_p), numbers)
            assert sample(expected_penalised(scores, params, reply)[None], [alone]) == [token]
            reply.append(token)


def test_the_penalties_of_a_reply_leave_the_prompt_alone():
    sampler = row(vocab=4, prompt=[0], presence_penalty=1.0, frequency_penalty=1.0, temperature=0)
    logits = torch.tensor([[4.0, 3.0, 2.5, -1.0]])
    assert [sample(logits.clone(), [sampler])[0] for _ in range(4)] == [0, 1, 2, 0]


def test_a_reply_that_begins_again_counts_what_it_wrote_before():
    params = SamplingParams(temperature=1.0, presence_penalty=0.5, frequency_penalty=0.7, seed=5)
    whole, cpu = RowSampler.start(params, PROMPT, 50, torch.device("cpu")), torch.device("cpu")
    steps = [random_logits(1, 50, seed) for seed in range(8)]
    tokens = [sample(logits.clone(), [whole])[0] for logits in steps]
    again = RowSampler.start(params, PROMPT + tokens[:4], 50, cpu, written=4)
    assert [sample(logits.clone(), [again])[0] for logits in steps[4:]] == tokens[4:]


def test_a_row_without_penalties_keeps_no_count():
    assert not row(temperature=0, presence_penalty=0.0, frequency_penalty=0.0).is_penalised


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_without_numbers_fails_alone(bad, temperature):
    logits = random_logits(3, 50)
    logits[1, 7] = bad
    chosen = sample(logits, [row(temperature=temperature, seed=1) for _ in range(3)])
    assert chosen[1] is None
    assert None not in (chosen[0], chosen[2])


def test_a_tiny_temperature_is_as_good_as_greedy():
    logits = random_logits(1, 50)
    assert sample(logits.clone(), [row(temperature=1e-6, seed=1)]) == [int(logits.argmax())]
