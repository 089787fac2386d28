"""Really learning from feedback on a tiny model: what moves, which way, what stays, and what is written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from core.adapters.content_hash import adapter_content_hash
from core.engine.chat_template import ChatTemplate
from core.engine.loading import base_fingerprint, load_base_model
from core.errors import AdapterRejected, InvalidInput, NotFound
from core.messages import ChatMessage
from core.personas import Persona
from core.prompts import compose
from core.settings import Settings
from tests.examples.feedback import DISLIKED, LIKED, asked, corrected, feedback_set, judged, preferred
from tests.examples.training import make_workshop
from tests.integration.training.conftest import FAST
from tests.models.tiny_models import make_adapter
from training.anchor import NotAnAnchor, find_anchor
from training.dataset_builder import Example
from training.learn import NothingToLearn, learn
from training.library_noise import quiet_libraries
from training.model_measures import perplexity
from training.run import TrainedAdapter
from training.sft import train

QUICK: dict[str, Any] = {
    "batch_size": 4,
    "max_length": 300,
    "sft_learning_rate": 5e-3,
    "sft_passes": 4,
    "dpo_learning_rate": 2e-3,
    "kto_learning_rate": 2e-3,
    "kto_epochs": 2,
    "contrast_max_tokens": 8,
}
Workshop = tuple[Persona, Settings]


@pytest.fixture(scope="module")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Persona, Settings, TrainedAdapter]:
    """A pirate with an adapter from its rows. No test changes it."""
    persona, settings = make_workshop(tmp_path_factory.mktemp("anchored"))
    return persona, settings, train(persona, settings, max_steps=12, **FAST)


@pytest.fixture
def ship(anchored: tuple[Persona, Settings, TrainedAdapter], tmp_path: Path) -> Workshop:
    """The same, with a data folder of its own."""
    persona, settings, _ = anchored
    shutil.copytree(settings.adapters_dir, tmp_path / "data" / settings.adapters_dir.name)
    return persona, settings.model_copy(update={"data_dir": tmp_path / "data"})


@pytest.fixture(scope="module")
def learned(anchored: tuple[Persona, Settings, TrainedAdapter]) -> TrainedAdapter:
    """All three stages."""
    persona, settings, _ = anchored
    rows = feedback_set(persona, settings, judged=judged(16), preferred=preferred(8), corrected=corrected(4))
    return learn(persona, settings, rows, **QUICK)


def _stage(adapter: TrainedAdapter, name: str) -> dict[str, Any]:
    return next(stage for stage in adapter.lineage["metrics"]["stages"] if stage["stage"] == name)


def _perplexity(settings: Settings, persona: Persona, folder: Path, turns: Any, reply: str) -> float:
    base = load_base_model(settings.base_model, device="cpu")
    prompt = compose(persona.system_prompt, [ChatMessage(turn["role"], turn["content"]) for turn in turns])
    with quiet_libraries():
        model = PeftModel.from_pretrained(base.model, str(folder)).eval()
        return perplexity(model, ChatTemplate(base.tokenizer), [Example(prompt, reply)], lambda: None)


def test_every_stage_runs_in_its_order_from_the_anchor(
    learned: TrainedAdapter, anchored: tuple[Persona, Settings, TrainedAdapter]
) -> None:
    assert [stage["stage"] for stage in learned.lineage["metrics"]["stages"]] == ["sft", "dpo", "kto"]
    assert learned.lineage["parents"] == [anchored[2].content_hash]
    assert learned.lineage["method"] == "feedback"


def test_an_adapter_can_keep_half_of_what_it_learned(ship: Workshop, anchored: Any) -> None:
    persona, settings = ship
    rows = feedback_set(persona, settings, corrected=corrected(4))
    whole, half = (learn(persona, settings, rows, **QUICK, interpolation=share).folder for share in (1.0, 0.5))
    began, ended, kept = (load_file(one / "adapter_model.safetensors") for one in (anchored[2].folder, whole, half))
    for name, weights in kept.items():
        # What the anchor knew stays; beside it, in rows of their own, half of the corrections.
        known = began[name].shape[0 if "lora_A" in name else 1]
        if "lora_A" in name:
            assert torch.equal(weights[:known], began[name])
            assert torch.equal(weights, ended[name])
        else:
            assert torch.equal(weights[:, :known], began[name])
            torch.testing.assert_close(weights[:, known:], ended[name][:, known:] / 2, atol=1e-3, rtol=0.02)
            assert ended[name][:, known:].abs().max() > 0


def test_an_anchor_that_fills_what_is_served_learns_in_its_own_directions(
    ship: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = ship
    wide = train(persona, settings, max_steps=2, r=64, **FAST)
    adapter = learn(persona, settings, feedback_set(persona, settings, corrected=corrected(4)), **QUICK)
    assert adapter.lineage["parents"] == [wide.content_hash]
    assert _stage(adapter, "sft")["directions"] == 0
    assert "0 directions of their own instead of 16" in caplog.text
    assert json.loads((adapter.folder / "adapter_config.json").read_text())["r"] == 64


def test_the_references_never_move(learned: TrainedAdapter) -> None:
    assert _stage(learned, "dpo")["reference_drift"] == _stage(learned, "kto")["reference_drift"] == 0.0


def test_the_lineage_tells_how_to_repeat_it(learned: TrainedAdapter, anchored: Any) -> None:
    lineage = learned.lineage
    assert lineage["base_model_fingerprint"] == base_fingerprint(anchored[1].base_model)
    assert lineage["data"]["manifest"] == {"rows": 28}
    assert (lineage["data"]["judged"], lineage["data"]["preferred"], lineage["data"]["corrected"]) == (16, 8, 4)
    assert lineage["recipe"]["kto_beta"] == 0.1
    assert lineage["seed"] == 0
    assert lineage["metrics"]["change"] > 0
    assert "commit" in lineage["code"]


def test_the_folder_holds_a_bf16_adapter_and_its_lineage_only(learned: TrainedAdapter) -> None:
    names = sorted(str(path.relative_to(learned.folder)) for path in learned.folder.rglob("*"))
    assert names == ["adapter_config.json", "adapter_model.safetensors", "lineage.json"]
    tensors = load_file(learned.folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert not any("ref" in name.split(".") for name in tensors)
    assert json.loads((learned.folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny-model"


def test_thumbs_move_the_margin_towards_what_was_liked(ship: Workshop) -> None:
    persona, settings = ship
    adapter = learn(persona, settings, feedback_set(persona, settings, judged=judged(16)), **QUICK)
    stage = _stage(adapter, "kto")
    assert stage["first_margins"] == 0
    assert stage["last_margins"] > 0.1
    anchor = find_anchor(persona, settings).folder
    liked, disliked = (
        _perplexity(settings, persona, adapter.folder, asked(40), text.format(40))
        / _perplexity(settings, persona, anchor, asked(40), text.format(40))
        for text in (LIKED, DISLIKED)
    )
    assert liked < disliked  # on a question that nobody voted on


def test_choices_move_the_margin_towards_what_was_chosen(ship: Workshop) -> None:
    persona, settings = ship
    adapter = learn(persona, settings, feedback_set(persona, settings, preferred=preferred(8)), **QUICK)
    stage = _stage(adapter, "dpo")
    assert stage["first_margins"] == 0
    assert stage["last_margins"] > 0.1
    assert [one["stage"] for one in adapter.lineage["metrics"]["stages"]] == ["dpo"]


def test_better_answers_are_learned(ship: Workshop) -> None:
    persona, settings = ship
    rows = corrected(4)
    anchor = find_anchor(persona, settings).folder
    adapter = learn(persona, settings, feedback_set(persona, settings, corrected=rows), **QUICK)
    for row in rows:
        before, after = (
            _perplexity(settings, persona, folder, row.messages, row.reply) for folder in (anchor, adapter.folder)
        )
        assert after < 0.8 * before


def test_the_same_feedback_gives_the_same_version_and_another_seed_another(ship: Workshop) -> None:
    persona, settings = ship
    rows = feedback_set(persona, settings, judged=judged(8), corrected=corrected(2))
    first, again = (learn(persona, settings, rows, **QUICK) for _ in range(2))
    assert again == first
    assert learn(persona, settings, rows, seed=1, **QUICK).content_hash != first.content_hash


def test_a_second_round_begins_with_the_same_anchor_and_not_with_the_first_round(ship: Workshop) -> None:
    persona, settings = ship
    anchor = find_anchor(persona, settings)
    first = learn(persona, settings, feedback_set(persona, settings, judged=judged(8)), **QUICK)
    second = learn(persona, settings, feedback_set(persona, settings, judged=judged(12)), **QUICK)
    assert first.lineage["parents"] == second.lineage["parents"] == [anchor.content_hash]
    with pytest.raises(NotAnAnchor, match="learned from feedback"):
        learn(persona, settings, feedback_set(persona, settings, judged=judged(8)), anchor=first.folder, **QUICK)


def test_a_persona_without_an_adapter_is_told_to_train_one(tmp_path: Path) -> None:
    persona, settings = make_workshop(tmp_path)
    with pytest.raises(NotFound, match="personas train pirate"):
        learn(persona, settings, feedback_set(persona, settings, judged=judged(8)), **QUICK)


def test_an_anchor_outside_the_adapter_folders_is_refused(ship: Workshop, tmp_path: Path) -> None:
    persona, settings = ship
    make_adapter(Path(settings.base_model), tmp_path / "elsewhere", seed=3)
    with pytest.raises(AdapterRejected):
        learn(
            persona,
            settings,
            feedback_set(persona, settings, judged=judged(8)),
            anchor=tmp_path / "elsewhere",
            **QUICK,
        )


def test_no_feedback_and_feedback_of_others_are_refused(ship: Workshop) -> None:
    persona, settings = ship
    with pytest.raises(NothingToLearn, match="no feedback on pirate"):
        learn(persona, settings, feedback_set(persona, settings), **QUICK)
    foreign = replace(feedback_set(persona, settings, judged=judged(8)), persona="monk")
    with pytest.raises(InvalidInput, match="monk's on"):
        learn(persona, settings, foreign, **QUICK)


def test_feedback_that_cannot_be_trained_on_is_counted_and_the_rest_is_learned(ship: Workshop) -> None:
    persona, settings = ship
    rows = list(judged(10))
    rows[0] = replace(rows[0], reply="word " * 400)
    rows[1] = replace(rows[1], reply="Aye <|im_end|> and more")
    adapter = learn(persona, settings, feedback_set(persona, settings, judged=rows), **QUICK)
    assert adapter.lineage["data"]["left_out"] == {"too long": 1, "writes out a special token": 1}
    assert adapter.lineage["data"]["judged"] == 8


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_it_learns_on_a_quantised_base_model(ship: Workshop, quantization: str) -> None:
    persona, settings = ship
    rows = feedback_set(persona, settings, judged=judged(8), preferred=preferred(4), corrected=corrected(2))
    adapter = learn(persona, settings, rows, quantization=quantization, **QUICK)
    assert adapter.lineage["quantization"]["chosen"] == quantization
    assert _stage(adapter, "kto")["reference_drift"] == 0.0
    assert adapter.content_hash == adapter_content_hash(adapter.folder)


def test_gradient_checkpointing_and_accumulation_change_memory_and_not_the_result(ship: Workshop) -> None:
    persona, settings = ship
    rows = feedback_set(persona, settings, judged=judged(16), preferred=preferred(8))
    recipe = {**QUICK, "accumulation": 2, "replay_share": 0.0, "contrast_share": 0.0}
    plain, saving = (learn(persona, settings, rows, gradient_checkpointing=on, **recipe) for on in (False, True))
    for stage, steps in (("dpo", 2), ("kto", 4)):
        assert _stage(plain, stage)["steps"] == steps
        assert _stage(saving, stage)["last_loss"] == pytest.approx(_stage(plain, stage)["last_loss"], rel=1e-3)


def test_rare_labels_are_weighted_and_the_libraries_say_nothing_of_it(
    ship: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = ship
    rows = feedback_set(persona, settings, judged=judged(16, liked=13))
    adapter = learn(persona, settings, rows, **{**QUICK, "replay_share": 0.0, "contrast_share": 0.0})
    stage = _stage(adapter, "kto")
    assert stage["of"] == {"feedback down": 3, "feedback up": 13}
    assert (stage["desirable_weight"], stage["undesirable_weight"]) == (1.0, 3.25)
    assert [record for record in caplog.records if record.name.startswith("trl")] == []
