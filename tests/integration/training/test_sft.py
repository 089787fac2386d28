"""Really training a tiny model: what is learned, what is written, and what an accident leaves behind."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from core.adapters.content_hash import adapter_content_hash
from core.adapters.registry import Registry
from core.engine.loading import base_fingerprint, load_base_model
from core.errors import InvalidData, InvalidSetting, NotFound, StoreUnavailable
from core.personas import Persona
from core.settings import Settings, load_settings
from core.store.db import Store
from tests.examples.training import PIRATE_WORDS, make_rows, make_workshop, write_rows
from tests.integration.training.conftest import FAST, Trained
from training import recipes, sft, trainer_setup
from training.data_files import TrainingRow
from training.library_noise import quiet_libraries
from training.progress import ProgressUpdate
from training.registration import register_trained
from training.resumable_trainer import ResumableTrainer, trained_parameters
from training.safeguards import NothingLearned
from training.sft import train

Workshop = tuple[Persona, Settings]


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_loss_falls(trained: Trained) -> None:
    metrics = trained.adapter.lineage["metrics"]
    assert metrics["steps"] == 24
    assert metrics["last_loss"] < 0.7 * metrics["first_loss"]


def test_held_out_replies_are_foreseen_better_than_by_the_base_model(trained: Trained) -> None:
    assert trained.adapter.lineage["metrics"]["evaluation"]["perplexity_ratio"] < 0.8


def test_the_folder_holds_the_adapter_its_config_and_its_lineage_only(trained: Trained) -> None:
    assert _files(trained.adapter.folder) == ["adapter_config.json", "adapter_model.safetensors", "lineage.json"]
    assert _files(trained.settings.adapters_dir) == [
        str(path.relative_to(trained.settings.adapters_dir)) for path in sorted(trained.adapter.folder.iterdir())
    ]


def test_the_folder_is_named_for_its_content(trained: Trained) -> None:
    content_hash = adapter_content_hash(trained.adapter.folder)
    assert trained.adapter.content_hash == content_hash
    place = Path("pirate") / trained.settings.base_slug / content_hash[:12]
    assert trained.adapter.folder == trained.settings.adapters_dir / place


def test_the_weights_are_bf16_and_their_size_is_two_bytes_each(trained: Trained) -> None:
    path = trained.adapter.folder / "adapter_model.safetensors"
    tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    parameters = sum(tensor.numel() for tensor in tensors.values())
    assert parameters == trained.adapter.lineage["metrics"]["trainable_parameters"]
    assert 2 * parameters <= path.stat().st_size <= 2 * parameters + 8192


def test_nothing_written_names_a_folder_of_this_machine(trained: Trained) -> None:
    for name in ("adapter_config.json", "lineage.json"):
        assert str(trained.settings.data_dir.parent) not in (trained.adapter.folder / name).read_text()
    config = json.loads((trained.adapter.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-model"
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]


def test_the_lineage_tells_how_to_repeat_it(trained: Trained) -> None:
    lineage = trained.adapter.lineage
    assert lineage == json.loads((trained.adapter.folder / "lineage.json").read_text())
    assert lineage["base_model_fingerprint"] == base_fingerprint(trained.settings.base_model)
    assert lineage["data"]["rows"] == 32
    assert len(lineage["data"]["sha256"]) == 64
    assert lineage["recipe"]["r"] == 16
    assert lineage["seed"] == 0
    assert (lineage["quantization"]["requested"], lineage["quantization"]["chosen"]) == ("auto", "none")
    assert lineage["quantization"]["reason"]
    assert {"torch", "trl", "peft"} <= lineage["libraries"].keys()
    assert lineage["code"]["version"]


def test_peft_loads_the_adapter_and_the_model_answers_differently(trained: Trained) -> None:
    base = load_base_model(trained.settings.base_model, device="cpu")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad(), quiet_libraries():
        plain = base.model(ids).logits
        adapted = PeftModel.from_pretrained(base.model, str(trained.adapter.folder))(ids).logits
    assert (adapted - plain).abs().max() > 0.01


def test_progress_is_told_step_by_step(trained: Trained) -> None:
    steps = [update for update in trained.updates if update.stage == "Training"]
    assert [update.done for update in steps] == list(range(25))
    assert {update.total for update in steps} == {24}
    assert steps[-1].note.startswith("loss ")


def test_the_same_training_again_is_the_same_version(workshop: Workshop) -> None:
    persona, settings = workshop
    first = train(persona, settings, max_steps=2, **FAST)
    again = train(persona, settings, max_steps=2, **FAST)
    other = train(persona, settings, max_steps=2, seed=1, **FAST)
    assert again == first
    assert other.content_hash != first.content_hash
    assert len(list((settings.adapters_dir / "pirate" / settings.base_slug).iterdir())) == 2


async def test_a_trained_adapter_is_registered_as_challenger_and_never_promoted(trained: Trained) -> None:
    settings = trained.settings
    store = await Store.open(settings.store_url, create_or_upgrade=True)
    registry = Registry(settings.dir, settings.adapters_dir)
    try:
        version = await register_trained(store, registry, trained.adapter)
        assert version.aliases == ("challenger",)
        assert version.lineage["data"] == trained.adapter.lineage["data"]
        async with store.read() as session:
            assert await registry.champion(session, "pirate", settings.base_slug) is None
    finally:
        await store.close()


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_quantised_base_model_trains_on_the_cpu(workshop: Workshop, quantization: str) -> None:
    persona, settings = workshop
    adapter = train(persona, settings, max_steps=10, quantization=quantization, **FAST)
    assert adapter.lineage["quantization"]["chosen"] == quantization
    assert adapter.lineage["metrics"]["last_loss"] < adapter.lineage["metrics"]["first_loss"]


def test_training_goes_on_unquantised_without_bitsandbytes(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    persona, settings = workshop
    adapter = train(persona, settings, max_steps=2, quantization="nf4", **FAST)
    assert adapter.lineage["quantization"] == {
        "requested": "nf4",
        "chosen": "none",
        "reason": "nf4 cannot be had: bitsandbytes is not installed",
    }


@pytest.mark.parametrize(
    ("architecture", "targets", "count"),
    [("phi3", "attention", 2), ("phi3", "all-linear", 4), ("gemma", "all-linear", 7)],
)
def test_other_architectures_and_targets_train(tmp_path: Path, architecture: str, targets: str, count: int) -> None:
    persona, settings = make_workshop(tmp_path, architecture)
    adapter = train(persona, settings, max_steps=4, targets=targets, **FAST)
    config = json.loads((adapter.folder / "adapter_config.json").read_text())
    assert len(config["target_modules"]) == count
    assert adapter.lineage["metrics"]["last_loss"] < adapter.lineage["metrics"]["first_loss"]


def test_gradient_checkpointing_changes_memory_and_not_the_result(workshop: Workshop) -> None:
    persona, settings = workshop
    plain = train(persona, settings, max_steps=3, lora_dropout=0.0, gradient_checkpointing=False, **FAST)
    saving = train(persona, settings, max_steps=3, lora_dropout=0.0, gradient_checkpointing=True, **FAST)
    assert saving.lineage["metrics"]["last_loss"] == pytest.approx(plain.lineage["metrics"]["last_loss"], rel=1e-4)


def test_an_adapter_keeps_the_share_of_its_change_that_the_recipe_names(workshop: Workshop) -> None:
    persona, settings = workshop
    whole, half = (
        load_file(
            train(persona, settings, max_steps=3, interpolation=share, **FAST).folder / "adapter_model.safetensors"
        )
        for share in (1.0, 0.5)
    )
    assert all(torch.equal(half[name], whole[name] * (0.5 if "lora_B" in name else 1)) for name in whole)
    assert any(weights.any() for name, weights in half.items() if "lora_B" in name)


def test_a_bf16_base_model_trains(tmp_path: Path) -> None:
    persona, settings = make_workshop(tmp_path, dtype="bfloat16")
    adapter = train(persona, settings, max_steps=6, **FAST)
    assert adapter.lineage["dtype"] == "bfloat16"
    assert adapter.lineage["metrics"]["last_loss"] < adapter.lineage["metrics"]["first_loss"]


def test_rows_that_are_too_long_are_left_out_and_counted(workshop: Workshop) -> None:
    persona, settings = workshop
    write_rows(persona.train_path, [*make_rows(PIRATE_WORDS, 4), TrainingRow("Speak long.", "word " * 400)])
    adapter = train(persona, settings, max_steps=2, **{**FAST, "max_length": 300})
    assert adapter.lineage["data"]["rows"] == 5
    assert adapter.lineage["data"]["rows_too_long"] == 1


def test_a_bundled_adapter_lies_in_the_personas_own_folder_and_is_replaced_whole(workshop: Workshop) -> None:
    persona, settings = workshop
    first = train(persona, settings, bundle=True, max_steps=2, **FAST)
    second = train(persona, settings, bundle=True, max_steps=3, **FAST)
    assert first.folder == second.folder == persona.adapter_folder(settings.base_slug)
    assert second.content_hash == adapter_content_hash(second.folder) != first.content_hash
    assert [path.name for path in (persona.folder / "adapters").iterdir()] == [settings.base_slug]
    assert not settings.adapters_dir.exists()


@contextmanager
def _file_size_limit(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to write larger files, as it refuses to write on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_written_version(workshop: Workshop) -> None:
    persona, settings = workshop
    with _file_size_limit(16_384), pytest.raises(StoreUnavailable, match="could not be written") as caught:
        train(persona, settings, max_steps=2, **FAST)
    assert "free some space and train again" in str(caught.value)
    assert _files(settings.data_dir) == []


def test_a_data_folder_that_cannot_be_made_is_told_before_the_training(workshop: Workshop, tmp_path: Path) -> None:
    persona, settings = workshop
    (tmp_path / "file").touch()
    blocked = load_settings(
        base_model=settings.base_model, dir=settings.dir, data_dir=tmp_path / "file" / "data", device="cpu"
    )
    updates: list[ProgressUpdate] = []
    with pytest.raises(StoreUnavailable, match="set PERSONAS_DATA_DIR"):
        train(persona, blocked, max_steps=2, progress=updates.append, **FAST)
    assert updates == []


def test_bad_rows_are_told_all_at_once_and_nothing_is_trained(workshop: Workshop) -> None:
    persona, settings = workshop
    persona.train_path.write_text('{"instruction": "Hi"}\nnonsense\n')
    with pytest.raises(InvalidData) as caught:
        train(persona, settings, **FAST)
    assert f"{persona.train_path}:1: output is missing" in str(caught.value)
    assert f"{persona.train_path}:2: not JSON" in str(caught.value)
    assert not settings.data_dir.exists()


def test_bad_held_out_rows_are_told_before_the_training(workshop: Workshop) -> None:
    persona, settings = workshop
    persona.eval_path.write_text("nonsense\n")
    with pytest.raises(InvalidData, match=r"eval\.jsonl:1"):
        train(persona, settings, **{**FAST, "is_evaluated": True})
    assert not settings.data_dir.exists()


def test_a_persona_without_held_out_rows_is_trained_unmeasured(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    persona, settings = workshop
    persona.eval_path.unlink()
    adapter = train(persona, settings, max_steps=2, **{**FAST, "is_evaluated": True})
    assert "evaluation" not in adapter.lineage["metrics"]
    assert "will not be measured" in caplog.text


def test_a_quick_training_is_the_same_recipe_with_fewer_rows_and_steps(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "QUICK_ROWS", 8)
    persona, settings = workshop
    adapter = train(persona, settings, is_quick=True, **FAST)
    recipe = adapter.lineage["recipe"]
    assert (recipe["max_rows"], recipe["max_steps"], recipe["epochs"]) == (8, 2, 3.0)
    assert (adapter.lineage["data"]["rows"], adapter.lineage["metrics"]["steps"]) == (8, 2)


def test_max_steps_never_makes_a_training_longer(workshop: Workshop) -> None:
    persona, settings = workshop
    adapter = train(persona, settings, max_steps=100, epochs=0.5, **FAST)
    assert adapter.lineage["metrics"]["steps"] == 4


def test_bf16_hardware_multiplies_bf16_and_the_adapter_itself_stays_in_fp32(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_setup, "has_fast_bf16", lambda: True)
    persona, settings = workshop
    dtypes: list[torch.dtype] = []

    def look(trainer: ResumableTrainer, *others: object) -> None:
        dtypes.extend(parameter.dtype for parameter in trained_parameters(trainer.model).values())

    monkeypatch.setattr(sft, "_check_first_batch", look)
    adapter = train(persona, settings, max_steps=6, **FAST)
    assert adapter.lineage["metrics"]["compute_dtype"] == "bfloat16"
    assert set(dtypes) == {torch.float32}
    assert adapter.lineage["metrics"]["last_loss"] < adapter.lineage["metrics"]["first_loss"]


def test_a_missing_base_model_is_one_sentence(workshop: Workshop) -> None:
    persona, settings = workshop
    shutil.rmtree(settings.base_model)
    with pytest.raises(NotFound, match="does not exist; check PERSONAS_BASE_MODEL"):
        train(persona, settings, **FAST)
    assert _files(settings.data_dir) == []


def test_a_recipe_that_cannot_be_trained_is_refused_first(workshop: Workshop) -> None:
    persona, settings = workshop
    with pytest.raises(InvalidSetting, match="learning_rate is 3"):
        train(persona, settings, learning_rate=3.0)
    assert not settings.data_dir.exists()


def test_a_run_that_ends_within_its_warm_up_is_no_version(workshop: Workshop) -> None:
    persona, settings = workshop
    with pytest.raises(NothingLearned, match="train more steps"):
        train(persona, settings, max_steps=1, **FAST)
    assert _files(settings.data_dir) == []
