from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidSetting
from core.personas import load_persona
from tests.examples.training import PIRATE_WORDS, make_persona
from training.recipes import LearningRecipe, SFTRecipe, learning_recipe_for, recipe_for


def test_the_defaults_are_those_of_the_specification() -> None:
    recipe = SFTRecipe()
    assert (recipe.r, recipe.lora_alpha, recipe.lora_dropout, recipe.targets) == (16, 32, 0.05, "attention")
    assert recipe.rows_per_step == 16


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidSetting) as caught:
        SFTRecipe(r=0, learning_rate=float("nan"), batch_size=0, targets="all", quantization="int4")  # type: ignore[arg-type]
    sentence = str(caught.value)
    for name in ("r is 0", "learning_rate is nan", "batch_size is 0", 'targets is "all"', 'quantization is "int4"'):
        assert name in sentence


def test_a_scale_that_no_training_survives_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="lora_alpha is 128 times r"):
        SFTRecipe(r=1, lora_alpha=128)


def test_a_rank_wider_than_the_engine_serves_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="r is 128"):
        SFTRecipe(r=128)


def test_a_persona_changes_the_recipe_and_the_caller_changes_it_last(tmp_path: Path) -> None:
    folder = make_persona(tmp_path, "pirate", PIRATE_WORDS).folder
    with (folder / "persona.toml").open("a") as file:
        file.write('[training]\ntargets = "all-linear"\nepochs = 2.5\nlearning_rate = 1e-4\ninterpolation = 0.9\n')
    recipe = recipe_for(load_persona(folder), learning_rate=3e-4, seed=7)
    assert (recipe.targets, recipe.epochs, recipe.learning_rate, recipe.seed) == ("all-linear", 2.5, 3e-4, 7)
    assert recipe.interpolation == 0.9


def test_an_override_that_no_recipe_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"A recipe has no rank; it has .*, targets, r,"):
        recipe_for(make_persona(tmp_path, "pirate", PIRATE_WORDS), rank=4)


def test_a_quick_recipe_reads_so_many_rows_once_and_keeps_the_bounds_that_are_set() -> None:
    quick = SFTRecipe(batch_size=8, accumulation=1).quick()
    assert (quick.max_steps, quick.max_rows, quick.epochs) == (80, 640, 3.0)
    assert SFTRecipe(max_steps=5).quick().max_steps == 5
    assert SFTRecipe(batch_size=4096).quick().max_steps == 1


def test_a_learning_recipe_names_its_wrong_fields_too() -> None:
    with pytest.raises(InvalidSetting) as caught:
        LearningRecipe(batch_size=1, kto_beta=0.0, replay_share=0.6, contrast_share=0.4, sft_contrast_share=0.5)
    for part in (
        "batch_size is 1",
        "kto_beta is 0",
        "; replay_share and contrast_share are 1, which leaves no feedback",
        "sft_replay_share and sft_contrast_share are 1, which leaves no feedback",
    ):
        assert part in str(caught.value)


def test_a_small_base_learns_faster_and_the_caller_has_the_last_word() -> None:
    small, large = learning_recipe_for(base_parameters=135_000_000), learning_recipe_for(base_parameters=10**9)
    assert small.kto_learning_rate > large.kto_learning_rate
    assert learning_recipe_for(base_parameters=135_000_000, kto_learning_rate=3e-6).kto_learning_rate == 3e-6
    with pytest.raises(InvalidSetting, match="A recipe has no r; it has"):
        learning_recipe_for(r=8)
