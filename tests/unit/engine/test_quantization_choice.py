"""Every cell of {bitsandbytes absent, too old, broken, no kernel, CPU, CUDA} x {auto, none, nf4, int8}."""

from __future__ import annotations

import sys

import pytest
import torch

from core.engine.quantization import QuantizationProbe, choose_quantization, probe_quantization
from core.errors import InvalidSetting

GIB = 2**30
DEVICES = frozenset({"cpu", "cuda"})
NO_KERNEL = {"nf4": "no nf4 here", "int8": "no int8 here"}

PROBES = {
    "absent": QuantizationProbe("cuda"),
    "too old": QuantizationProbe("cuda", "0.45.5", None, DEVICES),
    "broken": QuantizationProbe("cuda", "0.50.2", "libcudart is missing"),
    "other device": QuantizationProbe("cuda", "0.50.2", None, frozenset({"cpu"})),
    "no kernel": QuantizationProbe("cuda", "0.50.2", None, DEVICES, NO_KERNEL),
    "cpu": QuantizationProbe("cpu", "0.50.2", None, DEVICES),
    "cpu, absent": QuantizationProbe("cpu"),
    "cpu, no kernel": QuantizationProbe("cpu", "0.50.2", None, DEVICES, NO_KERNEL),
    "cuda": QuantizationProbe("cuda", "0.50.2", None, DEVICES),
    "cuda, 0.46.1": QuantizationProbe("cuda", "0.46.1", None, DEVICES),
    "cuda, nf4 only": QuantizationProbe("cuda", "0.50.2", None, DEVICES, {"int8": "no int8 here"}),
}
USABLE = {"cpu", "cuda", "cuda, 0.46.1"}
WHY = {
    "absent": "not installed",
    "cpu, absent": "not installed",
    "too old": "0.45.5 is too old (0.46.1 is needed)",
    "broken": "libcudart is missing",
    "other device": "does not support the device cuda",
    "no kernel": "here)",
    "cpu, no kernel": "here)",
    "cuda, nf4 only": "no int8 here",
}


@pytest.mark.parametrize("name", PROBES)
def test_none_is_none_everywhere(name: str) -> None:
    assert choose_quantization("none", probe=PROBES[name]).chosen == "none"


@pytest.mark.parametrize("kind", ["nf4", "int8"])
@pytest.mark.parametrize("name", PROBES)
def test_a_kind_asked_for_is_chosen_where_it_works_and_falls_back_with_the_reason_elsewhere(
    name: str, kind: str
) -> None:
    choice = choose_quantization(kind, probe=PROBES[name])
    assert choice.requested == kind
    if name in USABLE or (name == "cuda, nf4 only" and kind == "nf4"):
        assert choice.chosen == kind
    else:
        assert choice.chosen == "none"
        assert WHY[name] in choice.reason


@pytest.mark.parametrize("name", PROBES)
def test_auto_quantises_only_a_model_that_does_not_fit_on_cuda(name: str) -> None:
    probe = PROBES[name]
    fitting = choose_quantization("auto", probe=probe, model_bytes=6 * GIB, free_bytes=10 * GIB)
    assert fitting.chosen == "none"
    large = choose_quantization("auto", probe=probe, model_bytes=6 * GIB + 1, free_bytes=10 * GIB)
    has_nf4 = probe.device_type == "cuda" and probe.problem("nf4") is None
    assert large.chosen == ("nf4" if has_nf4 else "none")
    assert large.reason


def test_auto_leaves_a_model_alone_whose_size_nobody_knows() -> None:
    choice = choose_quantization("auto", probe=PROBES["cuda"], model_bytes=None, free_bytes=GIB)
    assert choice.chosen == "none"
    assert "not known" in choice.reason


def test_an_unknown_word_is_refused_with_the_words_that_are_known() -> None:
    with pytest.raises(InvalidSetting, match=r'"int4"; use auto, none, nf4 or int8'):
        choose_quantization("int4", probe=PROBES["cuda"])


def test_the_probe_finds_both_kinds_working_on_this_cpu() -> None:
    probe = probe_quantization(torch.device("cpu"))
    assert probe.problem("nf4") is None
    assert probe.problem("int8") is None


def test_the_probe_says_so_when_bitsandbytes_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    probe = probe_quantization(torch.device("cpu"))
    assert probe.version is None
    assert choose_quantization("nf4", probe=probe).reason == "nf4 cannot be had: bitsandbytes is not installed"


def test_the_probe_never_lets_bitsandbytes_fetch_kernels_from_the_hub() -> None:
    probe_quantization(torch.device("cpu"))
    assert not any(name.split(".")[0] == "kernels" for name in sys.modules)
