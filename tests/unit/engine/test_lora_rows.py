from __future__ import annotations

import pytest
import torch

from core.engine.adapter_files import LoraPair
from core.engine.lora_rows import LoraRows
from core.engine.lora_step import LoraStep
from core.engine.program import Program
from core.engine.row_plan import plan_rows

# A model's q, k and v: of unequal sizes, so that q has three blocks.
SIZES = (12, 4, 4)
IN, ROWS = 6, 5
COLUMNS = torch.split(torch.cat([torch.arange(12).flip(0), torch.arange(12, 20)]), SIZES)


def make_pair(row, member, r=3):
    generator = torch.Generator().manual_seed(10 * row + member)
    a, b = torch.randn(r, IN, generator=generator), torch.randn(SIZES[member], r, generator=generator)
    return LoraPair(a, b, 1.5)


@pytest.fixture
def lora():
    lora = LoraRows(LoraStep(), COLUMNS, IN, torch.empty(0))
    lora.resize(ROWS, 8, torch.empty(0))
    for row in range(ROWS):
        for member in range(len(SIZES)):
            lora.put(row, member, make_pair(row, member))
    return lora


def updates(lora, parts, dtype=torch.float32):
    """What is added, and what should be: `parts` are (tokens, {row: weight}), single tokens first."""
    torch.manual_seed(0)
    rows_of = [rows for tokens, rows in parts for _ in range(tokens)]
    x, y = torch.randn(len(rows_of), IN).to(dtype), torch.zeros(len(rows_of), sum(SIZES), dtype=dtype)
    exact = x.float()
    step = lora._step
    step.rows = sum(1 << row for row in {row for rows in rows_of for row in rows})
    step.plan = plan_rows(parts)
    program = Program(y)
    lora.bind(program, y, x)
    for _ in range(2):  # what a run leaves behind is nothing to the next
        y.zero_()
        program.run()
    expected = torch.zeros(y.shape)
    for token, rows in enumerate(rows_of):
        for row, weight in rows.items():
            for member, columns in enumerate(COLUMNS):
                pair = make_pair(row, member)
                if lora.rows & 1 << row:
                    expected[token, columns] += weight * pair.scale * exact[token] @ pair.a.T @ pair.b.T
    return y, expected


@pytest.mark.parametrize(
    "parts",
    [
        [(1, {2: 1.0})],
        [(1, {0: 1.0}), (1, {}), (1, {3: 0.5}), (1, {0: 1.0})],
        [(1, {4: 1.0}), (1, {1: 0.7, 3: -0.3}), (1, {}), (3, {2: 1.0}), (2, {}), (4, {0: 0.4, 4: 2.0})],
        [(1, {row: 1.0}) for row in (1, 1, 0, 1, 2, 1)],
        [(1, {1: 1.0, row: 0.5}) for row in (0, 2, 3, 4)],
        [(1, {0: 0.5, 1: 0.5}), (1, {2: 0.7, 3: 0.3}), (1, {}), (1, {4: 1.0, 0: -0.5}), (2, {1: 1.0})],
        [(1, {1: 0.5})] * 6,
        [(7, {3: 1.0})],
    ],
)
def test_every_token_gets_its_own_rows(lora, parts):
    torch.testing.assert_close(*updates(lora, parts))


def test_a_row_that_was_cleared_adds_nothing(lora):
    lora.clear(3)
    y, expected = updates(lora, [(1, {3: 1.0}), (1, {2: 1.0}), (3, {3: 1.0})])
    torch.testing.assert_close(y, expected)
    assert not y[0].any()


def test_bfloat16_is_added_to_bfloat16(lora):
    lora.resize(ROWS, 8, torch.empty(0, dtype=torch.bfloat16))
    y, expected = updates(lora, [(1, {2: 1.0}), (1, {1: 0.5}), (1, {}), (1, {4: 1.0}), (2, {0: 0.7})], torch.bfloat16)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected.float(), rtol=0.05, atol=0.2)


def test_rows_are_kept_where_there_is_more_room_for_them(lora):
    lora.resize(ROWS + 2, 16, torch.empty(0))
    torch.testing.assert_close(*updates(lora, [(1, {4: 1.0}), (2, {0: 0.5})]))


def test_what_many_tokens_use_is_multiplied_once_and_the_rest_is_looked_up():
    plan = plan_rows([*[(1, {7: 1.0})] * 4, (1, {7: 1.0, 2: 0.5}), (1, {}), (9, {5: 1.0})])
    assert [(product.row, product.tokens) for product in plan.products] == [(7, slice(0, 5)), (5, slice(6, 15))]
    assert plan.bags.rows == 1 << 2
    assert plan.bags.tokens.tolist() == [4]
