"""Every known way in which a training trains nothing, or the wrong thing, and looks healthy: provoked, and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import TrainerCallback

from core.engine.chat_template import ChatTemplate
from core.engine.loading import load_base_model
from core.generation import AdapterRef
from core.messages import ChatMessage
from core.settings import load_settings
from tests.models.tiny_models import make_adapter, make_tiny_model
from training import anchor as anchor_module
from training import kto
from training.anchor import Anchor, load_anchor, set_weights
from training.corrections import corrections_stage
from training.dataset_builder import Example
from training.dpo import dpo_stage
from training.kto import kto_stage
from training.label_check import PromptNotAsServed, WrongLabels
from training.learning_rows import Judged, Pair
from training.library_noise import quiet_libraries
from training.progress import ignore_progress
from training.recipes import LearningRecipe
from training.safeguards import (
    LEARNER,
    REFERENCE,
    AdapterUnchanged,
    BatchOfOne,
    NothingLearned,
    NothingTrainable,
    ReferenceDrifted,
    ReferenceNotAnchor,
    adapter_weights,
    check_batches,
    check_changed,
)
from training.stage import Bench, Stage, run_stage

RECIPE = LearningRecipe(batch_size=4, max_length=200, kto_learning_rate=1e-3, dpo_learning_rate=1e-3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AdapterRef, Path]:
    """A base model and an adapter on it."""
    root = tmp_path_factory.mktemp("files")
    model = make_tiny_model("llama", root / "model")
    return model, make_adapter(model, root / "adapters" / "one", seed=1), root


@pytest.fixture
def bench(files: tuple[Path, AdapterRef, Path], tmp_path: Path) -> Iterator[Bench]:
    model, ref, root = files
    settings = load_settings(base_model=str(model), data_dir=root, dir=root, device="cpu")
    base = load_base_model(str(model), device="cpu")
    with quiet_libraries():
        loaded = load_anchor(base, Anchor(root / "adapters" / "one", ref.content_hash), settings)
        yield Bench(
            base, loaded, ChatTemplate(base.tokenizer), RECIPE, torch.float32, tmp_path / "run", ignore_progress
        )


def _example(number: int, reply: str = "Aye, {0}.") -> Example:
    return Example((ChatMessage("user", f"And {number}?"),), reply.format(number))


def _judged(count: int) -> list[Judged]:
    return [Judged(_example(at), at % 2 == 0) for at in range(count)]


def _pairs(count: int) -> list[Pair]:
    return [Pair(_example(at), _example(at, "No, {0}.")) for at in range(count)]


def _kto(bench: Bench) -> Stage:
    return kto_stage(bench, _judged(8))


def _dpo(bench: Bench) -> Stage:
    return dpo_stage(bench, _pairs(4))


def _sft(bench: Bench) -> Stage:
    rows = [_example(at) for at in range(8)]
    return corrections_stage(bench, rows, [(one,) for one in rows])


PREFERENCE_STAGES = [_kto, _dpo]
STAGES = [_kto, _dpo, _sft]


def _run(bench: Bench, stage: Stage) -> dict[str, Any]:
    return run_stage(bench, stage, adapter_weights(bench.model, LEARNER))


def test_a_healthy_stage_passes_every_proof(bench: Bench) -> None:
    metrics = _run(bench, _kto(bench))
    assert metrics["reference_drift"] == 0
    assert metrics["change"] > 0
    assert list(bench.model.peft_config) == [LEARNER]


def test_an_adapter_that_was_loaded_for_inference_is_not_trained_in_silence(
    files: tuple[Path, AdapterRef, Path], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ref, root = files
    load = PeftModel.from_pretrained
    monkeypatch.setattr(
        anchor_module.PeftModel,
        "from_pretrained",
        lambda base, folder, **options: load(base, folder, **{**options, "is_trainable": False}),
    )
    settings = load_settings(base_model=str(model), data_dir=root, dir=root, device="cpu")
    base = load_base_model(str(model), device="cpu")
    with pytest.raises(NothingTrainable, match="not one trainable weight"):
        load_anchor(base, Anchor(root / "adapters" / "one", ref.content_hash), settings)


def test_another_adapter_than_the_anchor_is_told_when_it_is_loaded(
    files: tuple[Path, AdapterRef, Path], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ref, root = files
    other = make_adapter(model, root / "adapters" / "other", seed=2)
    load = PeftModel.from_pretrained
    monkeypatch.setattr(
        anchor_module.PeftModel,
        "from_pretrained",
        lambda base, folder, **options: load(base, str(root / "adapters" / "other"), **options),
    )
    assert other.content_hash != ref.content_hash
    settings = load_settings(base_model=str(model), data_dir=root, dir=root, device="cpu")
    with pytest.raises(ReferenceNotAnchor, match="is not the adapter in"):
        load_anchor(
            load_base_model(str(model), device="cpu"), Anchor(root / "adapters" / "one", ref.content_hash), settings
        )


def test_a_trainer_that_froze_everything_trains_nothing(bench: Bench) -> None:
    stage = _kto(bench)
    bench.model.requires_grad_(False)
    with pytest.raises(NothingTrainable):
        _run(bench, stage)


@pytest.mark.parametrize("build", PREFERENCE_STAGES)
def test_the_base_model_as_reference_is_told(bench: Bench, build: Any) -> None:
    stage = build(bench)
    bench.model.delete_adapter(REFERENCE)
    with pytest.raises(ReferenceNotAnchor, match="without any adapter"):
        _run(bench, stage)


def test_another_reference_than_the_start_is_told(bench: Bench) -> None:
    stage = _kto(bench)
    start = adapter_weights(bench.model, LEARNER)
    with pytest.raises(ReferenceNotAnchor, match="another adapter"):
        run_stage(bench, stage, {name: tensor + 0.01 for name, tensor in start.items()})


@pytest.mark.parametrize("build", PREFERENCE_STAGES)
def test_a_reference_that_is_trained_along_is_told(bench: Bench, build: Any) -> None:
    class Follow(TrainerCallback):  # type: ignore[misc]
        """As TRL's own sync_ref_model does with a reference that is a model of its own."""

        def on_step_end(self, *given: Any, **options: Any) -> None:
            for name, parameter in bench.model.named_parameters():
                if f".{REFERENCE}." in name:
                    learner = bench.model.get_parameter(name.replace(f".{REFERENCE}.", f".{LEARNER}."))
                    parameter.data.copy_(learner.data)

    stage = build(bench)
    stage.trainer.add_callback(Follow())
    with pytest.raises(ReferenceDrifted, match="was trained along"):
        _run(bench, stage)


def test_a_rate_that_moves_nothing_is_told(bench: Bench) -> None:
    slow = replace(bench, recipe=replace(RECIPE, kto_learning_rate=1e-8))
    with pytest.raises(AdapterUnchanged, match="Thumbs left the adapter as it was"):
        _run(slow, _kto(slow))


def test_a_rate_that_breaks_the_adapter_is_told(bench: Bench) -> None:
    start = adapter_weights(bench.model, LEARNER)
    broken = {name: tensor * float("nan") for name, tensor in start.items()}
    with pytest.raises(NothingLearned, match="not finite"):
        check_changed(start, broken, "Thumbs")


def test_one_judged_reply_alone_is_refused(bench: Bench) -> None:
    with pytest.raises(BatchOfOne, match="1 judged reply"):
        kto_stage(bench, _judged(1))


def test_a_last_batch_of_one_is_refused_unless_it_is_dropped() -> None:
    with pytest.raises(BatchOfOne):
        check_batches(9, 4, drops_last=False)
    check_batches(9, 4, drops_last=True)
    check_batches(10, 4, drops_last=False)


def test_no_batch_of_one_is_ever_trained(bench: Bench) -> None:
    stage = kto_stage(bench, _judged(9))
    sizes = [len(batch["label"]) for batch in stage.trainer.get_train_dataloader()]
    assert sizes == [4, 4]
    assert stage.facts["dropped"] == 1


def _other_prompt(stage: Stage) -> Stage:
    other = Example((ChatMessage("system", "Another voice."), *stage.prompts[-1].prompt), stage.prompts[-1].reply)
    return replace(stage, prompts=[*stage.prompts[:-1], other])


@pytest.mark.parametrize("build", STAGES)
def test_a_prompt_that_is_not_the_served_one_is_told_in_every_row(bench: Bench, build: Any) -> None:
    with pytest.raises(PromptNotAsServed, match="another prompt than it is served"):
        _run(bench, _other_prompt(build(bench)))


@pytest.mark.parametrize("build", STAGES)
def test_a_mask_that_trains_the_prompt_is_told(bench: Bench, build: Any) -> None:
    stage = build(bench)
    collate = stage.trainer.data_collator

    def with_a_wrong_mask(rows: Any) -> Any:
        batch = dict(collate(rows))
        if "labels" in batch:
            return {**batch, "labels": batch["input_ids"].clone()}
        return {**batch, "completion_mask": torch.ones_like(batch["completion_mask"])}

    stage.trainer.data_collator = with_a_wrong_mask
    with pytest.raises(WrongLabels):
        _run(bench, stage)


def test_a_quantised_base_does_not_round_the_learner_away(bench: Bench) -> None:
    start = adapter_weights(bench.model, LEARNER)
    for parameter in bench.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    set_weights(bench.model, start)
    after = adapter_weights(bench.model, LEARNER)
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    assert all(torch.equal(after[name], start[name]) for name in start)


def test_a_row_counts_as_much_as_its_weight_says(bench: Bench) -> None:
    rows = _judged(4)
    stage = kto_stage(bench, [replace(row, weight=0.25 if row.label else 1.0) for row in rows])
    batch = stage.trainer.data_collator([stage.trainer.train_dataset[at] for at in range(4)])
    bench.model.train()
    loss = stage.trainer.compute_loss(bench.model, batch)
    desirable, undesirable = stage.facts["desirable_weight"], stage.facts["undesirable_weight"]
    assert (desirable, undesirable) == (4.0, 1.0)  # the rarer label by weight counts more
    # At the start every reward is 0, so each row's own loss is one half.
    assert loss.item() == pytest.approx(0.5 * (2 * 0.25 * desirable + 2 * 1.0 * undesirable) / 4)
    assert isinstance(stage.trainer, kto.WeightedKTOTrainer)
