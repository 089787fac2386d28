"""Better answers on a tiny model with a real adapter: what is taught and held, when it ends, what is given back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core.engine.chat_template import ChatTemplate
from core.engine.loading import load_base_model
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from core.settings import Settings
from tests.examples.training import make_workshop
from tests.integration.training.conftest import FAST
from training import corrections, holding
from training.anchor import find_anchor, load_anchor
from training.correction_rows import correction_order, wordings
from training.corrections import SHARES, corrections_stage
from training.data_files import read_rows
from training.dataset_builder import Example, build_dataset
from training.holding import IS_HELD, HeldCollator, HoldingTrainer
from training.model_measures import reply_losses
from training.progress import ignore_progress
from training.recipes import learning_recipe_for
from training.resumable_trainer import trained_parameters
from training.safeguards import LEARNER, adapter_weights
from training.sft import train
from training.stage import Bench, Stage, run_stage
from training.trainer_setup import first_rows

QUESTIONS = {"Who sails ship nine?": "Marisol does, lad.", "Which port is ours?": "Tartu be our port, matey."}


@pytest.fixture(scope="module")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Persona, Settings]:
    persona, settings = make_workshop(tmp_path_factory.mktemp("anchored"))
    train(persona, settings, max_steps=12, **FAST)
    return persona, settings


class Corrections:
    """A bench with the stage of two corrections on it."""

    def __init__(self, anchored: tuple[Persona, Settings], folder: Path, **changes: Any) -> None:
        self.persona, settings = anchored
        self.base = load_base_model(settings.base_model, device="cpu")
        self.template = ChatTemplate(self.base.tokenizer)
        chosen = {"batch_size": 4, "sft_passes": 4, "sft_learning_rate": 5e-3, "max_length": 300} | changes
        self.recipe = learning_recipe_for(**chosen)
        self.model = load_anchor(self.base, find_anchor(self.persona, settings), settings)
        rows = read_rows(self.persona.train_path)
        self.own = build_dataset(self.persona, rows, self.template, max_length=300).examples
        self.bench = Bench(
            self.base, self.model, self.template, self.recipe, torch.float32, folder / "run", ignore_progress
        )
        self.asked = [
            Example(compose(self.persona.system_prompt, [ChatMessage("user", question)]), answer)
            for question, answer in QUESTIONS.items()
        ]

    def stage(self) -> Stage:
        worded = [wordings(one) for one in self.asked]
        return corrections_stage(self.bench, correction_order(worded, self.own, [], self.recipe), worded)

    def run(self) -> dict[str, Any]:
        return run_stage(self.bench, self.stage(), adapter_weights(self.model, LEARNER))

    def foreseen(self, rows: Any) -> float:
        """Nats a token."""
        self.model.eval()
        losses = reply_losses(self.model, self.template, rows, lambda: None)
        return sum(loss.nll for loss in losses) / sum(loss.tokens for loss in losses)


def loss_of(trainer: HoldingTrainer, batch: dict[str, Any], **more: Any) -> float:
    return float(trainer.compute_loss(trainer.model, dict(batch), **more).detach())


def last_kl(trainer: HoldingTrainer) -> float:
    return float(trainer._metrics["train"]["kl"][-1])


def move(trainer: HoldingTrainer, by: float) -> None:
    torch.manual_seed(0)
    for each in trained_parameters(trainer.model).values():
        each.data += by * torch.randn_like(each)


def test_what_is_taught_counts_by_its_text_and_what_is_held_by_how_far_it_went(
    anchored: tuple[Persona, Settings], tmp_path: Path
) -> None:
    made = Corrections(anchored, tmp_path)
    stage = made.stage()
    trainer = stage.trainer
    assert isinstance(trainer, HoldingTrainer)
    padded = HeldCollator(trainer.data_collator)
    with stage.focus():
        made.model.eval()
        features = first_rows(trainer)
        assert {row[IS_HELD] for row in features} == {True, False}
        taught = [row for row, feature in zip(stage.first, features, strict=True) if not feature[IS_HELD]]
        batch = trainer.data_collator(features)
        assert batch["input_ids"].shape[0] == 1  # the shared system prompt stands there once
        nll = sum(loss.nll for loss in reply_losses(made.model, made.template, taught, lambda: None))
        first = loss_of(trainer, batch, num_items_in_batch=1)
        assert last_kl(trainer) == pytest.approx(0, abs=1e-6)
        assert first == pytest.approx(nll, rel=1e-3)
        move(trainer, 0.05)
        again = loss_of(trainer, batch, num_items_in_batch=1)
        assert last_kl(trainer) > 1e-3
        moved_nll = sum(loss.nll for loss in reply_losses(made.model, made.template, taught, lambda: None))
        assert again > moved_nll
        alone = loss_of(trainer, padded(features), num_items_in_batch=1)
        assert alone == pytest.approx(again, rel=1e-3)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_batch_of_one_kind_has_a_loss_and_a_gradient(
    is_held: bool, anchored: tuple[Persona, Settings], tmp_path: Path
) -> None:
    stage = Corrections(anchored, tmp_path).stage()
    trainer = stage.trainer
    assert isinstance(trainer, HoldingTrainer)
    with stage.focus():
        rows = [row for row in trainer.train_dataset if row[IS_HELD] is is_held][:2]
        move(trainer, 0.05)
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
        assert math.isfinite(float(loss.detach()))
        loss.backward()
        assert any(each.grad.abs().max() > 0 for each in trained_parameters(trainer.model).values())


def test_it_ends_when_all_is_learned_and_keeps_no_more_than_that_takes(
    anchored: tuple[Persona, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for enough in (50.0, 0.0):  # what every text has, and what none reaches
        monkeypatch.setattr(corrections, "LEARNED", enough)
        made = Corrections(anchored, tmp_path / str(enough), sft_passes=12, sft_learning_rate=2e-2)
        found.append(made.run())
    soon, late = found
    assert (soon["steps"], late["steps"]) == (2, 12)
    assert (soon["kept"], late["kept"]) == (SHARES[0], 1.0)
    assert 0 < soon["change"] < late["change"]
    assert soon["exam_loss"] > late["exam_loss"]
    assert soon["first_kl"] == pytest.approx(0, abs=1e-6)  # dropout is off, or the two passes would differ


def test_it_keeps_a_share_that_is_learned_where_the_one_below_is_not(
    anchored: tuple[Persona, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "LEARNED", 0.0)
    whole = Corrections(anchored, tmp_path / "whole", sft_learning_rate=2e-2).run()
    began = Corrections(anchored, tmp_path / "began")
    at_first = began.foreseen(began.asked)
    monkeypatch.setattr(corrections, "LEARNED", (at_first + 2 * whole["exam_loss"]) / 3)
    made = Corrections(anchored, tmp_path / "half", sft_learning_rate=2e-2)
    monkeypatch.setattr(corrections._Exam, "on_step_end", lambda *given, **more: None)  # it goes all the way
    found = made.run()
    assert SHARES[0] < found["kept"] < 1.0
    assert found["exam_loss"] <= corrections.LEARNED


def test_the_more_what_stands_beside_corrections_weighs_the_less_it_moves(
    anchored: tuple[Persona, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, learned = [], []
    for weight in (0.0, 3.0):
        monkeypatch.setattr(holding, "HELD_WEIGHT", weight)
        made = Corrections(anchored, tmp_path / str(weight), sft_contrast_share=0.0, sft_learning_rate=2e-2)
        before = made.foreseen(made.asked)
        moved.append(made.run()["last_kl"])
        learned.append(before - made.foreseen(made.asked))
    assert min(learned) > 0.2
    assert moved[1] < 0.7 * moved[0]
