"""SFT on the better answers that people wrote, among the persona's own rows, on an adapter that is there already."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig

from training.dataset_builder import Example, to_columns, token_count
from training.resumable_trainer import ResumableTrainer
from training.stage import Bench, Stage
from training.trainer_setup import common_arguments


def corrections_stage(bench: Bench, rows: Sequence[Example], *, corrected: int) -> Stage:
    """The stage on these rows, once, in their order; `corrected` is how many better answers are among them."""
    recipe, template = bench.recipe, bench.template
    lengths = [token_count(one, template) for one in rows]
    trainer = ResumableTrainer(
        model=bench.model,
        args=SFTConfig(
            **common_arguments(bench.base, recipe, lengths, bench.folder / "sft", bench.compute_dtype),
            learning_rate=recipe.sft_learning_rate,
            num_train_epochs=1,  # the passes are in the rows, each in its own company
            train_sampling_strategy="sequential",
        ),
        train_dataset=Dataset.from_dict(to_columns(rows, template)),
        processing_class=bench.base.tokenizer,
    )
    facts = {"corrected": corrected, "passes": recipe.sft_passes}
    return Stage("sft", "Corrections", trainer, rows, rows[: recipe.batch_size], has_reference=False, facts=facts)
