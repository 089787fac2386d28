from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.adapters.check import UNSAFE_SUFFIXES, check_adapter, local_fingerprint
from core.adapters.fingerprint import folder_fingerprint
from core.errors import AdapterRejected
from core.generation import AdapterRef
from tests.examples.store import write_adapter

HERE, ELSEWHERE = "ab" * 32, "cd" * 32
REF = AdapterRef("zen@1", "00" * 32)


@pytest.fixture
def folder(tmp_path):
    return write_adapter(tmp_path / "zen", b"one")


@pytest.mark.parametrize("suffix", UNSAFE_SUFFIXES)
def test_a_file_that_could_run_code_is_refused_by_its_name(folder, suffix):
    (folder / f"optimizer{suffix.upper()}").touch()
    with pytest.raises(AdapterRejected, match=rf"zen@1 holds optimizer\{suffix.upper()}, .* remove that file"):
        check_adapter(REF, folder, {}, None)


def test_an_adapter_of_another_base_model_is_refused(folder):
    with pytest.raises(AdapterRejected, match=r"zen@1 was trained on another base model \(cdcdcdcdcdcd… instead"):
        check_adapter(REF, folder, {"base_model_fingerprint": ELSEWHERE}, HERE)


@pytest.mark.parametrize(("trained_on", "here"), [(HERE, HERE), (ELSEWHERE, None), (None, HERE)])
def test_what_fits_or_is_not_known_passes(folder, trained_on, here):
    check_adapter(REF, folder, {} if trained_on is None else {"base_model_fingerprint": trained_on}, here)


def test_the_fingerprint_is_that_of_the_weights_on_this_machine(tmp_path):
    whole = _write_weights(tmp_path / "model")
    assert local_fingerprint(str(whole)) == folder_fingerprint(whole)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    for name in (str(tmp_path), str(tmp_path / "gone"), "nobody/no-such-model", "/no/such model"):
        assert local_fingerprint(name) is None


def test_a_model_in_the_hugging_face_cache_is_found_by_its_name(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--somebody--tiny"
    snapshot = repository / "snapshots" / "1234"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1234")
    _write_weights(snapshot)
    (snapshot / "config.json").write_text("{}")
    assert local_fingerprint("somebody/tiny") == folder_fingerprint(snapshot)


def _write_weights(folder):
    folder.mkdir(exist_ok=True)
    save_file({"weight": np.arange(8, dtype=np.float32)}, folder / "model.safetensors")
    return folder
