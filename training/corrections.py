"""SFT on the better answers that people wrote, among the persona's own rows, on an adapter that is there already.

It ends as soon as the answers are learned in wordings that it did not just train, and gives back as much of the change
as they do without: every step further costs other facts (docs/runs.md).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig

from core.engine.chat_template import ChatTemplate
from training.anchor import between, set_weights
from training.correction_rows import spoken
from training.dataset_builder import Example, to_columns, token_count
from training.free_directions import learning_in
from training.holding import IS_HELD, HoldingTrainer, held_column
from training.model_measures import reply_losses
from training.safeguards import LEARNER, Weights, adapter_weights
from training.stage import Bench, Stage
from training.trainer_setup import common_arguments, share_prefixes_on

LEARNED = 0.1  # nats a token: from here on a greedy reply gives the answer, with little to spare
SHARES = tuple(tenth / 10 for tenth in range(3, 10))  # of the change, that may be enough
ROWS_PER_STEP = 32  # at most: more corrections at once take more steps a pass, not larger ones


def corrections_stage(bench: Bench, rows: Sequence[Example], worded: Sequence[Sequence[Example]]) -> Stage:
    """The stage on the rows of all passes, where `worded` has every correction in its wordings.

    Where the bench has room for them, it trains that alone.
    """
    recipe, template = bench.recipe, bench.template
    lengths = [token_count(one, template) for one in rows]
    arguments = common_arguments(bench.base, recipe, lengths, bench.folder / "sft", bench.compute_dtype)
    rows_per_pass = len(rows) // recipe.sft_passes
    taught = [form for forms in worded for form in forms]
    batches = max(1, round(min(rows_per_pass, ROWS_PER_STEP) / recipe.batch_size))
    arguments["gradient_accumulation_steps"] = batches
    trainer = HoldingTrainer(
        model=bench.model,
        args=SFTConfig(
            **arguments,
            learning_rate=recipe.sft_learning_rate,
            num_train_epochs=1,  # the passes are in the rows, each in its own company
            train_sampling_strategy="sequential",
            remove_unused_columns=False,  # the collator reads which rows are held
        ),
        train_dataset=Dataset.from_dict({**to_columns(rows, template), IS_HELD: held_column(rows, taught)}),
        processing_class=bench.base.tokenizer,
    )
    exam = _Exam(bench.model, template, worded, max(1, round(rows_per_pass / (batches * recipe.batch_size))))
    trainer.add_callback(exam)
    facts: dict[str, Any] = {"corrected": len(worded), "directions": bench.room}

    @contextmanager
    def focus() -> Iterator[None]:
        share_prefixes_on(bench.base, trainer)
        began = adapter_weights(bench.model, LEARNER)
        with learning_in(bench.model, bench.room) if bench.room else nullcontext(), trainer.holding():
            yield
        facts.update(_give_back(bench.model, began, exam))

    first = rows[: recipe.batch_size]
    return Stage("sft", "Corrections", trainer, rows, first, has_reference=False, facts=facts, focus=focus)


class _Exam(TrainerCallback):  # type: ignore[misc]  # transformers counts as untyped
    """After every pass, how well the corrections are known in the wordings of the next one; learned is enough."""

    def __init__(
        self, model: PeftModel, template: ChatTemplate, worded: Sequence[Sequence[Example]], steps_per_pass: int
    ) -> None:
        self._model, self._template = model, template
        self._worded, self._steps_per_pass = worded, steps_per_pass
        self._passes = 0

    def loss(self) -> float:
        """Mean over the corrections of the negative log-likelihood a token of the reply."""
        was_training = self._model.training
        self._model.eval()
        losses = reply_losses(self._model, self._template, spoken(self._worded, self._passes), lambda: None)
        self._model.train(was_training)
        return sum(loss.nll / loss.tokens for loss in losses) / len(losses)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # A first step may be one of the warm-up at a rate of zero, after which nothing would have changed.
        if state.global_step > 1 and state.global_step % self._steps_per_pass == 0:
            self._passes = state.global_step // self._steps_per_pass
            control.should_training_stop = self.loss() <= LEARNED


def _give_back(model: PeftModel, began: Weights, exam: _Exam) -> dict[str, float]:
    """Keep the smallest share of the change with which all is learned; the whole of it where nothing less is enough."""
    ended = adapter_weights(model, LEARNER)

    def is_learned(share: float) -> bool:
        set_weights(model, between(began, ended, share))
        return exam.loss() <= LEARNED

    at = bisect_left(SHARES, True, key=is_learned)
    kept = SHARES[at] if at < len(SHARES) else 1.0
    set_weights(model, between(began, ended, kept))
    return {"kept": kept, "exam_loss": round(exam.loss(), 4)}
