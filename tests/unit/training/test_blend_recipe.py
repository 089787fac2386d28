"""What each method of blending asks of its adapters, and how the rows of a blend are merged."""

from __future__ import annotations

import pytest

from bot.commands.blend_arguments import METHODS as OFFERED
from core.errors import InvalidInput
from tests.examples.training import MONK_WORDS, PIRATE_WORDS, make_rows
from training.blend_recipe import METHODS, BlendedAdapter, BlendRecipe
from training.blend_rows import merge_rows


def adapter(name: str, *ranks: int, narrowest: int = 512) -> BlendedAdapter:
    return BlendedAdapter(name, name * 64, 0.5, frozenset(ranks), narrowest)


def test_the_command_line_offers_the_methods_there_are():
    assert OFFERED == METHODS


def test_exact_methods_get_a_rank_that_holds_all_adapters():
    two = [adapter("a", 16), adapter("b", 8)]
    for method in ("cat", "svd"):
        recipe = BlendRecipe(method).resolve(two)
        assert (recipe.rank, recipe.density, recipe.is_exact(two)) == (24, None, True)
    narrow = [adapter("a", 16, narrowest=20), adapter("b", 16, narrowest=32)]
    assert BlendRecipe("svd").resolve(narrow).rank == 20
    assert BlendRecipe("svd").resolve(narrow).is_exact(narrow)
    assert not BlendRecipe("svd", rank=16).resolve(two).is_exact(two)
    assert not BlendRecipe("linear").resolve([adapter("a", 8), adapter("b", 8)]).is_exact(two)


def test_what_cannot_be_blended_is_said_in_a_sentence_with_a_way_out():
    wide = [adapter("a", 64), adapter("b", 16)]
    with pytest.raises(InvalidInput, match=r"r=80 \(a r=64, b r=16\), and at most 64 is served; choose --method svd"):
        BlendRecipe("cat").resolve(wide)
    assert BlendRecipe("svd").resolve(wide).rank == 64
    for method in ("linear", "ties", "dare_linear", "dare_ties"):
        with pytest.raises(InvalidInput, match=f"{method} needs adapters of one rank.*choose cat, svd or"):
            BlendRecipe(method).resolve(wide)
        with pytest.raises(InvalidInput, match="needs adapters of one rank"):
            BlendRecipe(method).resolve([adapter("a", 8, 16), adapter("b", 16)])
    with pytest.raises(InvalidInput, match="cat decides the rank itself; leave --rank out"):
        BlendRecipe("cat", rank=8).resolve(wide)
    with pytest.raises(InvalidInput, match="svd keeps all weights; leave --density out"):
        BlendRecipe("svd", density=0.5).resolve(wide)
    assert BlendRecipe("ties").resolve([adapter("a", 8), adapter("b", 8)]).density == 0.5


def test_rows_are_merged_by_share_each_once_and_none_measures_what_it_trains():
    pirate, monk = make_rows(PIRATE_WORDS, 70), make_rows(MONK_WORDS, 300, start=1000)
    merged = merge_rows([0.7, 0.3], [pirate, monk])
    assert [sum(row in rows for row in merged) for rows in (pirate, monk)] == [70, 30]
    assert len(merge_rows([1, 1], [pirate, pirate])) == 70
    few = merge_rows([2, 0.0001], [pirate, monk])
    assert [sum(row in rows for row in few) for rows in (pirate, monk)] == [70, 1]
    same_questions = make_rows(MONK_WORDS, 10)
    assert not set(merge_rows([1, 1], [pirate, monk], without=same_questions)) & set(pirate[:10])
