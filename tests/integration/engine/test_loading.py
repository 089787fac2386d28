"""Loading real (tiny) base models: every quantisation this CPU can do, and every way a model can be missing."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.engine import loading
from core.engine.bf16_trial import Agreement, judge_bf16, measure_speed
from core.engine.loading import base_fingerprint, describe_dtype, load_base_model
from core.engine.quantization import avoid_packed_kernel
from core.errors import InvalidSetting, NotFound
from tests.models.tiny_models import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model("llama", tmp_path_factory.mktemp("models") / "tiny")


def _copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("quantization", "layer"), [("auto", "Linear"), ("none", "Linear"), ("nf4", "Linear4bit"), ("int8", "Linear8bitLt")]
)
def test_a_base_model_loads_and_generates_in_every_quantisation(
    model_folder: Path, quantization: str, layer: str
) -> None:
    base = load_base_model(str(model_folder), device="cpu", quantization=quantization)
    assert base.quantization.requested == quantization
    assert base.quantization.chosen == ("none" if quantization == "auto" else quantization)
    assert {type(block.mlp.down_proj).__name__ for block in base.model.model.layers} == {layer}
    assert base.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    prompt = base.tokenizer("hello world", return_tensors="pt")
    output = base.model.generate(**prompt, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert output.shape[1] == prompt["input_ids"].shape[1] + 4


def test_quantised_weights_stay_close_to_the_original_ones(model_folder: Path) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    plain = load_base_model(str(model_folder), device="cpu", quantization="none").model(ids).logits
    int8 = load_base_model(str(model_folder), device="cpu", quantization="int8").model(ids).logits
    assert torch.nn.functional.cosine_similarity(plain.flatten(), int8.flatten(), dim=0) > 0.99


def test_nf4_without_bitsandbytes_falls_back_and_says_why(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with caplog.at_level(logging.WARNING):
        base = load_base_model(str(model_folder), device="cpu", quantization="nf4")
    assert base.quantization.chosen == "none"
    assert "bitsandbytes is not installed" in base.quantization.reason
    assert "bitsandbytes is not installed" in caplog.text


def test_a_dtype_can_be_chosen(model_folder: Path) -> None:
    base = load_base_model(str(model_folder), device="cpu", dtype="bfloat16")
    assert base.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.bfloat16}


def test_whoever_trains_or_measures_gets_fp32_on_every_cpu(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(loading, "measure_speed", lambda: 2.0)
    assert load_base_model(str(model_folder), device="cpu").dtype == torch.float32


@pytest.mark.parametrize(("speed", "dtype"), [(2.0, torch.bfloat16), (0.5, torch.float32)])
def test_serving_takes_bf16_where_it_is_faster_and_the_log_says_why(
    speed: float,
    dtype: torch.dtype,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loading, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(loading, "measure_speed", lambda: speed)
    with caplog.at_level(logging.INFO):
        base = load_base_model(str(model_folder), device="cpu", for_serving=True)
    assert base.dtype == dtype
    assert {parameter.dtype for parameter in base.model.parameters()} == {dtype}
    assert not base.model.training
    (line,) = [record.message for record in caplog.records if "Computing" in record.message]
    assert f"in {str(dtype).removeprefix('torch.')}: " in line
    assert "times as fast as fp32" in line


def test_a_model_that_disagrees_with_itself_in_bf16_is_read_again_in_fp32(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(loading, "measure_speed", lambda: 2.0)
    monkeypatch.setattr(loading, "compare_logits", lambda expected, actual: Agreement(len(expected), 0, 1.0))
    base = load_base_model(str(model_folder), device="cpu", for_serving=True)
    plain = load_base_model(str(model_folder), device="cpu")
    assert base.dtype == torch.float32
    assert all(map(torch.equal, base.model.parameters(), plain.model.parameters()))


@pytest.mark.parametrize("choice", [{"dtype": "float32"}, {"quantization": "int8"}])
def test_an_explicit_dtype_and_quantised_weights_are_never_tried(
    choice: dict[str, str], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "judge_bf16", None)
    assert load_base_model(str(model_folder), device="cpu", for_serving=True, **choice).dtype == torch.float32


def test_the_dtype_is_told_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(loading, "has_fast_bf16", lambda: False)
    assert describe_dtype("auto", cpu) == "float32"
    monkeypatch.setattr(loading, "has_fast_bf16", lambda: True)
    assert describe_dtype("auto", cpu) == "bfloat16 if the model gains by it, which is tried at the start, else float32"
    assert describe_dtype("float32", cpu) == "float32"


def test_both_dtypes_are_really_measured_on_any_cpu() -> None:
    speed = measure_speed()
    assert speed > 0
    assert judge_bf16(True, lambda: speed, lambda: Agreement(1, 1, 0.0)).reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./no-such-folder", "does not exist"),
        ("/no/such/folder", "does not exist"),
        ("some-org/some-model", "HF_HUB_OFFLINE is set"),
        ("unheard-of", "HF_HUB_OFFLINE is set"),
    ],
)
def test_a_model_that_is_not_there_gets_one_sentence(name: str, words: str) -> None:
    with pytest.raises(NotFound, match=words) as caught:
        load_base_model(name, device="cpu")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no config\.json"):
        load_base_model(str(tmp_path), device="cpu")


def test_pickled_weights_are_not_read(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotFound, match="safetensors"):
        load_base_model(str(folder), device="cpu")


def test_code_of_the_model_repository_is_not_run(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this must never run')")
    with pytest.raises(InvalidSetting, match="cannot be used as the base model"):
        load_base_model(str(folder), device="cpu")


def test_a_cut_off_weights_file_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(InvalidSetting, match="cannot be used as the base model"):
        load_base_model(str(folder), device="cpu")


def test_a_model_without_a_chat_template_is_refused(model_folder: Path, tmp_path: Path) -> None:
    folder = _copy(model_folder, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (folder / "chat_template.jinja").unlink()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(InvalidSetting, match="has no chat template"):
        load_base_model(str(folder), device="cpu")


@pytest.mark.parametrize(
    "choice", [{"device": "tpu"}, {"device": "cuda:99"}, {"dtype": "float8"}, {"quantization": "int4"}]
)
def test_an_impossible_choice_is_refused_by_its_name(model_folder: Path, choice: dict[str, str]) -> None:
    (name,) = choice
    with pytest.raises(InvalidSetting, match=f"PERSONAS_{name.upper()}"):
        load_base_model(str(model_folder), **choice)


def test_a_base_model_has_one_fingerprint_however_it_is_loaded(model_folder: Path, tmp_path: Path) -> None:
    expected = base_fingerprint(model_folder)
    assert base_fingerprint(str(_copy(model_folder, tmp_path))) == expected
    assert base_fingerprint(load_base_model(str(model_folder), device="cpu", quantization="nf4")) == expected


def test_splitting_the_weights_into_files_keeps_the_fingerprint(model_folder: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    model.save_pretrained(tmp_path / "split", max_shard_size="100KB")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    assert base_fingerprint(tmp_path / "split") == base_fingerprint(model_folder)


def test_a_retrained_model_has_another_fingerprint(model_folder: Path, tmp_path: Path) -> None:
    other = make_tiny_model("llama", tmp_path / "other", seed=1)
    assert base_fingerprint(other) != base_fingerprint(model_folder)


def test_gradients_pass_an_nf4_model_that_was_evaluated_before(model_folder: Path) -> None:
    model = load_base_model(str(model_folder), device="cpu", quantization="nf4").model
    avoid_packed_kernel(model, for_training=True)
    embedded = model.get_input_embeddings()(torch.tensor([[5, 6, 7]])).detach()
    with torch.no_grad():
        before = model(inputs_embeds=embedded).logits
    embedded.requires_grad_(True)
    after = model(inputs_embeds=embedded).logits
    after.sum().backward()
    assert embedded.grad is not None
    assert embedded.grad.abs().min() > 0
    torch.testing.assert_close(after, before)
