"""KTO on judged replies: what people liked becomes likelier than it was, what they disliked less likely.

TRL's KTOTrainer (https://arxiv.org/abs/2402.01306), with a weight for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from training.dataset_builder import to_columns, token_count
from training.learning_rows import Judged, describe, label_weights
from training.safeguards import check_batches
from training.stage import Bench, Stage
from training.trainer_setup import common_arguments

WEIGHT = "weight"


class WeightedKTOTrainer(KTOTrainer):
    """KTOTrainer whose rows count as much as their `weight` says, beside the weight of their label."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL multiplies the losses of each label by one number; here by one for each row of that label."""
        weights, labels = inputs.pop(WEIGHT), inputs["label"].bool()
        usual = self.desirable_weight, self.undesirable_weight
        self.desirable_weight, self.undesirable_weight = usual[0] * weights[labels], usual[1] * weights[~labels]
        try:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        finally:
            self.desirable_weight, self.undesirable_weight = usual


@dataclass(frozen=True, slots=True)
class WeightedCollator:
    """Adds the rows' weights to TRL's batch."""

    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {**self.collate(rows), WEIGHT: torch.tensor([float(row[WEIGHT]) for row in rows])}


def kto_stage(bench: Bench, rows: Sequence[Judged]) -> Stage:
    """The stage on these rows, in their order. Raises BatchOfOne."""
    recipe = bench.recipe
    batch_size = min(recipe.batch_size, len(rows))  # fewer rows than one batch would make no step at all
    check_batches(len(rows), batch_size, drops_last=True)
    examples = [row.example for row in rows]
    desirable, undesirable = label_weights(rows, recipe.kto_max_weight)
    lengths = [token_count(one, bench.template) for one in examples]
    common = common_arguments(bench.base, recipe, lengths, bench.folder / "kto", bench.compute_dtype)
    trainer = WeightedKTOTrainer(
        model=bench.model,
        args=KTOConfig(
            **{**common, "per_device_train_batch_size": batch_size},
            learning_rate=recipe.kto_learning_rate,
            num_train_epochs=recipe.kto_epochs,
            beta=recipe.kto_beta,
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            dataloader_drop_last=True,  # a last batch of one row would be compared with itself
            remove_unused_columns=False,  # the collator reads what it needs, the weights among it
        ),
        train_dataset=Dataset.from_dict(
            {
                **to_columns(examples, bench.template),
                "label": [row.label for row in rows],
                WEIGHT: [row.weight for row in rows],
            }
        ),
        processing_class=bench.base.tokenizer,
    )
    trainer.data_collator = WeightedCollator(trainer.data_collator)
    facts = {
        "of": describe(rows),
        "dropped": len(rows) % batch_size,
        "desirable_weight": round(desirable, 4),
        "undesirable_weight": round(undesirable, 4),
    }
    return Stage("kto", "Thumbs", trainer, examples, examples[:batch_size], has_reference=True, facts=facts)
