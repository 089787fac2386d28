from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from core.adapters.check import UNSAFE_SUFFIXES
from core.adapters.content_hash import CONFIG_FILE, WEIGHTS_FILE, adapter_content_hash
from core.engine.adapter_files import BEYOND_LORA, AdapterReader
from core.errors import AdapterRejected
from core.generation import AdapterRef

MODULE = "model.layers.0.self_attn.q_proj"
TARGETS = {MODULE: (6, 10)}
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}


def write(folder, *, config=CONFIG, a=None, b=None, module=MODULE, extra=None):
    """An adapter folder made by hand, and the reference to it."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"base_model.model.{module}.lora_A.weight": torch.ones(4, 6) if a is None else a,
        f"base_model.model.{module}.lora_B.weight": torch.ones(10, 4) if b is None else b,
        **(extra or {}),
    }
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return ref_of(folder)


def ref_of(folder):
    return AdapterRef("codebeard@1", adapter_content_hash(folder))


def reader(root, **changes):
    return AdapterReader(**{"roots": (root,), "targets": TARGETS, "max_rank": 64, **changes})


def test_an_adapter_is_read_with_its_scale(tmp_path):
    weights = reader(tmp_path).read(write(tmp_path / "good"), tmp_path / "good")
    pair = weights.pairs[MODULE]
    assert (weights.r, pair.a.shape, pair.b.shape, pair.scale) == (4, (4, 6), (10, 4), 2.0)


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({"use_rslora": True}, 8 / math.sqrt(4)),
        ({"alpha_pattern": {"self_attn.q_proj": 20}}, 5.0),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 20, "v_proj": 1}}, 2.0),
        ({"alpha_pattern": {r"layers\.0\.self_attn\.q_proj$": 20, "q_proj": 1}}, 5.0),
        ({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 20, "q_proj": 1}}, 5.0),
        ({"alpha_pattern": {"^layers.0.self_attn.q_proj": 20}}, 2.0),
        ({"alpha_pattern": {"_proj": 20}}, 2.0),
    ],
)
def test_the_scale_follows_the_config(tmp_path, changes, scale):
    ref = write(tmp_path / "scaled", config={**CONFIG, **changes})
    assert reader(tmp_path).read(ref, tmp_path / "scaled").pairs[MODULE].scale == pytest.approx(scale)


@pytest.mark.parametrize("suffix", UNSAFE_SUFFIXES)
def test_a_folder_with_a_pickle_is_refused(tmp_path, suffix):
    ref = write(tmp_path / "pickled")
    (tmp_path / "pickled" / f"adapter_model{suffix}").write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterRejected, match="can run code"):
        reader(tmp_path).read(ref, tmp_path / "pickled")


def test_a_folder_outside_the_roots_is_refused(tmp_path):
    ref = write(tmp_path / "elsewhere")
    with pytest.raises(AdapterRejected, match="outside the folders"):
        reader(tmp_path / "roots").read(ref, tmp_path / "elsewhere")


def test_a_link_out_of_the_roots_is_refused(tmp_path):
    outside = write(tmp_path / "outside")
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(AdapterRejected, match="outside the folders"):
        reader(tmp_path / "roots").read(outside, tmp_path / "roots" / "link")


def test_a_file_that_links_out_of_the_roots_is_refused(tmp_path):
    outside = write(tmp_path / "outside")
    inside = tmp_path / "roots" / "inside"
    inside.mkdir(parents=True)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        (inside / name).symlink_to(tmp_path / "outside" / name)
    with pytest.raises(AdapterRejected, match="leads outside"):
        reader(tmp_path / "roots").read(outside, inside)


def test_a_path_that_climbs_out_of_the_roots_is_refused(tmp_path):
    outside = write(tmp_path / "outside")
    (tmp_path / "roots").mkdir()
    with pytest.raises(AdapterRejected, match="outside the folders"):
        reader(tmp_path / "roots").read(outside, tmp_path / "roots" / ".." / "outside")


@pytest.mark.parametrize("missing", [WEIGHTS_FILE, CONFIG_FILE])
def test_a_missing_file_is_named(tmp_path, missing):
    ref = write(tmp_path / "partial")
    (tmp_path / "partial" / missing).unlink()
    with pytest.raises(AdapterRejected, match=missing):
        reader(tmp_path).read(ref, tmp_path / "partial")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(AdapterRejected, match="does not exist"):
        reader(tmp_path).read(AdapterRef("codebeard@1", "0" * 64), tmp_path / "gone")


def test_files_that_changed_since_they_were_registered_are_refused(tmp_path):
    ref = write(tmp_path / "changed")
    write(tmp_path / "changed", a=torch.zeros(4, 6))
    with pytest.raises(AdapterRejected, match="changed since"):
        reader(tmp_path).read(ref, tmp_path / "changed")


@pytest.mark.parametrize("field", sorted(BEYOND_LORA))
def test_an_adapter_that_is_more_than_lora_is_refused_by_name(tmp_path, field):
    with pytest.raises(AdapterRejected, match=field):
        reader(tmp_path).read(write(tmp_path / "more", config={**CONFIG, field: ["lm_head"]}), tmp_path / "more")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**CONFIG, "bias": "all"}, "biases"),
        ({**CONFIG, "peft_type": "IA3"}, "peft_type"),
        ({**CONFIG, "init_lora_weights": "pissa"}, "pissa"),
        ({**CONFIG, "lora_alpha": "much"}, "lora_alpha"),
        ({**CONFIG, "lora_alpha": float("nan")}, "lora_alpha"),
        ({**CONFIG, "alpha_pattern": {"q_proj": None}}, "alpha_pattern"),
        ({**CONFIG, "alpha_pattern": 3}, "alpha_pattern"),
        ({**CONFIG, "alpha_pattern": {"(": 3}}, "alpha_pattern"),
        ({**CONFIG, "lora_alpha": 1e300}, "lora_alpha"),
        ({**CONFIG, "lora_alpha": 4.1e4}, "lora_alpha"),
        (["not", "an", "object"], "peft_type"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused(tmp_path, config, sentence):
    with pytest.raises(AdapterRejected, match=sentence):
        reader(tmp_path).read(write(tmp_path / "config", config=config), tmp_path / "config")


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"a": torch.ones(4, 7)}, "another base model"),
        ({"b": torch.ones(11, 4)}, "another base model"),
        ({"b": torch.ones(10, 5)}, "another base model"),
        ({"a": torch.ones(4)}, "another base model"),
        ({"a": torch.ones(0, 6), "b": torch.ones(10, 0)}, "another base model"),
        ({"module": "model.layers.9.self_attn.q_proj"}, "has no model.layers.9"),
        ({"a": torch.full((4, 6), math.nan)}, "NaN"),
        ({"b": torch.full((10, 4), math.inf)}, "NaN"),
        ({"b": torch.full((10, 4), 1e5)}, "beyond"),
        ({"a": torch.ones(4, 6, dtype=torch.int32)}, "int32"),
        ({"a": torch.ones(65, 6), "b": torch.ones(10, 65)}, "at most 64"),
        ({"extra": {"base_model.model.lm_head.weight": torch.ones(2, 2)}}, "no LoRA on a linear layer"),
        ({"extra": {"base_model.model.wte.lora_embedding_A": torch.ones(2, 2)}}, "no LoRA on a linear layer"),
        ({"extra": {"base_model.model.model.v_proj.lora_A.weight": torch.ones(2, 2)}}, "v_proj"),
    ],
)
def test_tensors_that_do_not_fit_the_base_model_are_refused(tmp_path, tensors, sentence):
    with pytest.raises(AdapterRejected, match=sentence):
        reader(tmp_path).read(write(tmp_path / "tensors", **tensors), tmp_path / "tensors")


def test_a_config_of_another_rank_than_the_weights_is_refused(tmp_path):
    with pytest.raises(AdapterRejected, match=r"r=4 on .*, but its .* says r=12"):
        reader(tmp_path).read(write(tmp_path / "other", config={**CONFIG, "r": 12}), tmp_path / "other")
    patterned = write(tmp_path / "patterned", config={**CONFIG, "r": 12, "rank_pattern": {"q_proj": 4}})
    assert reader(tmp_path).read(patterned, tmp_path / "patterned").r == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha_pattern": {"([a-z0-9_.]+)+!": 1}},
        {"alpha_pattern": {r"layers\.[01]\.self_attn\.(q|k)_proj": 20}},
        {"rank_pattern": {"([a-z0-9_.]+)+!": 4}},
        {"target_modules": "([a-z0-9_.]+)+!"},
        {"target_modules": ["q_proj", ".*"]},
        {"exclude_modules": "([a-z0-9_.]+)+!"},
        {"layers_pattern": ["([a-z0-9_.]+)+!"]},
        {"alpha_pattern": {f"layers.{number}": 1 for number in range(5000)}},
    ],
)
def test_no_regular_expression_of_a_file_is_run(tmp_path, changes):
    ref = write(tmp_path / "pattern", config={**CONFIG, **changes})
    with pytest.raises(AdapterRejected, match=rf"^{next(iter(changes))} of adapter .*(plain name|4096 names)"):
        reader(tmp_path).read(ref, tmp_path / "pattern")


def test_one_half_of_a_pair_is_refused(tmp_path):
    write(tmp_path)
    save_file({f"base_model.model.{MODULE}.lora_A.weight": torch.ones(4, 6)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(AdapterRejected, match="only lora_A"):
        reader(tmp_path).read(ref_of(tmp_path), tmp_path)


def test_an_adapter_without_tensors_is_refused(tmp_path):
    write(tmp_path)
    save_file({}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(AdapterRejected, match="no weights"):
        reader(tmp_path).read(ref_of(tmp_path), tmp_path)


def test_an_adapter_trained_on_another_base_model_is_told_by_its_lineage(tmp_path):
    ref = write(tmp_path)
    (tmp_path / "lineage.json").write_text(json.dumps({"base_model_fingerprint": "a" * 64}))
    assert reader(tmp_path, base_fingerprint="a" * 64).read(ref, tmp_path).ref == ref
    with pytest.raises(AdapterRejected, match="trained on another base model"):
        reader(tmp_path, base_fingerprint="b" * 64).read(ref, tmp_path)


def test_a_broken_lineage_is_refused(tmp_path):
    ref = write(tmp_path)
    (tmp_path / "lineage.json").write_text("{")
    with pytest.raises(AdapterRejected, match=r"lineage\.json"):
        reader(tmp_path, base_fingerprint="b" * 64).read(ref, tmp_path)


def test_the_content_hash_tells_weights_and_config_apart(tmp_path):
    plain = write(tmp_path / "plain")
    assert write(tmp_path / "twin").content_hash == plain.content_hash
    assert write(tmp_path / "weights", b=torch.zeros(10, 4)).content_hash != plain.content_hash
    assert write(tmp_path / "config", config={**CONFIG, "lora_alpha": 9}).content_hash != plain.content_hash


def test_hashing_a_folder_that_is_no_adapter_names_the_file(tmp_path):
    with pytest.raises(AdapterRejected, match=WEIGHTS_FILE):
        adapter_content_hash(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
configs = st.dictionaries(st.sampled_from([*CONFIG, *BEYOND_LORA, "bias", "alpha_pattern"]), json_values).map(
    lambda changes: json.dumps({**CONFIG, **changes}).encode()
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs | st.binary(max_size=60), damage=st.none() | st.binary(max_size=200))
def test_any_adapter_folder_is_read_or_refused_with_one_sentence(tmp_path, config, damage):
    write(tmp_path)
    (tmp_path / CONFIG_FILE).write_bytes(config)
    if damage is not None:
        (tmp_path / WEIGHTS_FILE).write_bytes(damage)
    try:
        reader(tmp_path).read(ref_of(tmp_path), tmp_path)
    except AdapterRejected as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)


COUNT_THREADS = """
import os, sys, threading
from pathlib import Path
from tests.unit.engine.test_adapter_files import AdapterRef, AdapterReader, MODULE, adapter_content_hash

def read():
    reader = AdapterReader((folder,), {MODULE: (60_000, 70_000)}, 64)
    before = len(os.listdir("/proc/self/task"))
    reader.read(AdapterRef("wide@1", adapter_content_hash(folder)), folder)
    print(len(os.listdir("/proc/self/task")) - before)

folder = Path(sys.argv[1])
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_reading_starts_no_threads_which_would_slow_the_engines_own(tmp_path):
    write(tmp_path, a=torch.ones(4, 60_000), b=torch.ones(70_000, 4))
    started = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout == "0\n"
