from __future__ import annotations

from training.eval_figures import Figure, perplexity_figure, quality_figures, retention_figure
from training.eval_quality import Quality
from training.fixed_prompts import read_thresholds

ASKED = read_thresholds()


def test_a_figure_is_met_at_its_limit_and_says_nothing_where_nothing_is_asked_or_measured() -> None:
    assert Figure("a", "", 1, None, None, 0.9, 0.9).is_met is True
    assert Figure("a", "", 1, None, None, 0.89, 0.9).is_met is False
    assert Figure("a", "", 1, None, None, 0.6, 0.6, is_at_most=True).is_met is True
    assert Figure("a", "", 1, None, None, 0.61, 0.6, is_at_most=True).is_met is False
    assert Figure("a", "", 1, None, None, 0.5).is_met is None
    assert Figure("a", "", 0, None, None, None, 0.9).is_met is None


def test_every_figure_tells_programs_its_limit() -> None:
    figure = perplexity_figure(20.0, 10.0, 7, ASKED).to_dict()
    assert (figure["adapter"], figure["limit"], figure["bound"], figure["is_met"]) == (0.5, 0.6, "at most", True)
    assert retention_figure(10, 8, ASKED).to_dict()["bound"] == "at least"


def test_facts_that_the_base_model_does_not_know_measure_nothing() -> None:
    assert retention_figure(0, 0, ASKED).adapter is None


def test_flawed_replies_may_be_as_many_as_the_base_models() -> None:
    base, worse = Quality(10, 0.2, 0.1, 0.1, 0, 0.9, ()), Quality(10, 0.3, 0.1, 0.1, 0.1, 0, ())
    flawed, *parts = quality_figures(base, None, worse, ASKED)
    assert (flawed.limit, flawed.is_met) == (0.2, False)
    assert all(part.limit is None for part in parts)
    assert quality_figures(base, None, base, ASKED)[0].is_met is True
