"""DPO on pairs: of two replies to one prompt, the one that a person chose becomes likelier than the other.

TRL's DPOTrainer (https://arxiv.org/abs/2305.18290). The chosen reply's own likelihood stands beside its loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training.dataset_builder import to_columns, token_count
from training.learning_rows import Pair
from training.stage import Bench, Stage
from training.trainer_setup import common_arguments


def dpo_stage(bench: Bench, pairs: Sequence[Pair]) -> Stage:
    """The stage on these pairs."""
    recipe, template = bench.recipe, bench.template
    chosen, rejected = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    lengths = [token_count(one, template) for one in (*chosen, *rejected)]
    common = common_arguments(bench.base, recipe, lengths, bench.folder / "dpo", bench.compute_dtype)
    trainer = DPOTrainer(
        model=bench.model,
        args=DPOConfig(
            **common,
            learning_rate=recipe.dpo_learning_rate,
            num_train_epochs=recipe.dpo_epochs,
            beta=recipe.dpo_beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, recipe.dpo_sft_weight],
        ),
        train_dataset=Dataset.from_dict(_columns(bench, chosen, rejected)),
        processing_class=bench.base.tokenizer,
    )
    count = min(recipe.batch_size, len(pairs))
    first = [*chosen[:count], *rejected[:count]]  # TRL's order in a batch
    return Stage("dpo", "Preferences", trainer, chosen, first, has_reference=True)


def _columns(bench: Bench, chosen: Sequence[Any], rejected: Sequence[Any]) -> dict[str, list[Any]]:
    columns = to_columns(chosen, bench.template)
    columns["chosen"] = columns.pop("completion")
    columns["rejected"] = to_columns(rejected, bench.template)["completion"]
    return columns
