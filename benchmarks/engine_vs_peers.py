"""Compares this project's engine with its peers side by side: `python -m benchmarks.engine_vs_peers`.

The composition root of the benchmarks: which systems, which workloads, which goals.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from benchmarks.measure import DifferentTokens, Sample, Turn, measure, warm_up
from benchmarks.own_engine import engine_with_lora, engine_without_lora
from benchmarks.peers_continuous import continuous_with_lora, continuous_without_lora
from benchmarks.peers_generate import peft_lone, peft_mixed_batch, peft_one_by_one, plain_batch
from benchmarks.plot import plot_figures
from benchmarks.random_base import ADAPTERS, QUICK_SHAPE, BaseShape, RandomBase, copy_base, make_random_base
from benchmarks.report import Setting, print_report, write_json
from benchmarks.summary import Goal, judge, summarise
from benchmarks.system_process import SystemFailed, SystemProcess
from benchmarks.systems import SystemKind
from benchmarks.workloads import Request, Workload, all_workloads
from core.default_model import DEFAULT_MODEL, SAMPLING, default_model_file
from core.engine.chat_template import ChatTemplate
from core.engine.gguf_copy import dequantised_copy
from core.errors import PersonasError
from core.settings import load_settings

ONE_BY_ONE = SystemKind("PEFT set_adapter + generate", peft_one_by_one)
LONE = SystemKind("PEFT generate", peft_lone, is_lone=True)
MIXED_BATCH = SystemKind("PEFT mixed batch", peft_mixed_batch)
PLAIN_BATCH = SystemKind("generate, no LoRA", plain_batch, has_lora=False)
CONTINUOUS = SystemKind("continuous batching + LoRA", continuous_with_lora)
CONTINUOUS_PLAIN = SystemKind("continuous batching, no LoRA", continuous_without_lora, has_lora=False)
ENGINE = SystemKind("this engine", engine_with_lora)
ENGINE_PLAIN = SystemKind("this engine, no LoRA", engine_without_lora, has_lora=False)
SYSTEMS = (ONE_BY_ONE, LONE, MIXED_BATCH, PLAIN_BATCH, CONTINUOUS, CONTINUOUS_PLAIN, ENGINE, ENGINE_PLAIN)
# Whose tokens are right, with and without LoRA: PEFT's and transformers' own.
REFERENCES = {True: ONE_BY_ONE.name, False: PLAIN_BATCH.name}

SMOLLM2, SMALL, QUICK = "smollm2", "50m", "quick"
BASES = (SMOLLM2, SMALL)
ROUNDS = 5
COUNTS = (1, 4, 8, 16)
ROUNDS_HELP = "how often the workloads with a goal are measured; the others half as often"
QUICK_WORKLOADS = [Workload(1, "at once", "equal"), Workload(3, "at once", "ragged"), Workload(3, "spread", "equal")]
REPORT_WIDTH = 140
RESULTS = Path(__file__).parent / "results"


def _is_eight_at_once(workload: Workload) -> bool:
    return workload.requests == 8 and workload.arrivals == "at once"


def _speed_goal(text: str, other: SystemKind, at_least: float) -> Goal:
    """The engine writes 8 replies over 4 adapters at least so many times as fast as another system."""
    return Goal(text, ENGINE.name, other.name, lambda sample: sample.tokens_per_s, _is_eight_at_once, at_least=at_least)


GOALS = (
    _speed_goal("speed over PEFT set_adapter + generate", ONE_BY_ONE, 4),
    _speed_goal("speed over PEFT mixed batch", MIXED_BATCH, 1.5),
    Goal(
        "time of a lone request over PEFT generate",
        ENGINE.name,
        LONE.name,
        lambda sample: sample.mean_latency_s,
        lambda workload: workload.requests == 1,
        at_most=1.15,
    ),
)


def plan_turns(workloads: Sequence[Workload], rounds: int) -> list[Turn]:
    """What is measured, in order: every round goes over its workloads once.

    Workloads with a goal take part in all rounds and with all systems. The others show how the picture changes with
    the load: half the rounds, and only the systems with LoRA.
    """
    turns = []
    for round_ in range(rounds):
        for workload in workloads:
            is_judged = any(goal.is_judged(workload) for goal in GOALS)
            if is_judged or round_ < max(1, rounds // 2):
                kinds = [kind for kind in SYSTEMS if workload.requests == 1 or not kind.is_lone]
                turns.append(Turn(round_, workload, tuple(kind for kind in kinds if is_judged or kind.has_lora)))
    return turns


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the files. Returns the exit code."""
    options = _parse(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers_logging.disable_progress_bar()
    console = Console()
    if not console.is_terminal:
        console.width = REPORT_WIDTH
    try:
        if options.smollm2 is None and SMOLLM2 in options.base:
            options.smollm2 = _default_model()
        for name in options.base:
            _compare(name, options, console)
    except (SystemFailed, DifferentTokens, PersonasError) as error:
        console.print(f"[red]{error}[/]", soft_wrap=True)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_vs_peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"{ROUNDS_HELP} (%(default)s)")
    parser.add_argument("--requests", type=int, nargs="+", default=COUNTS, help="sizes of the workloads (1 4 8 16)")
    parser.add_argument("--base", choices=BASES, nargs="+", help="base models to measure (both)")
    parser.add_argument("--smollm2", type=Path, metavar="FOLDER", help="SmolLM2's folder (the default model's own)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file and the plot")
    parser.add_argument("--quick", action="store_true", help="one round on a toy model, to see that everything runs")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or min(options.requests) < 1:
        parser.error("--rounds and --requests must be at least 1.")
    if options.smollm2 is not None and not (options.smollm2 / "config.json").is_file():
        parser.error(f"{options.smollm2} holds no config.json, so it is not a model folder; check --smollm2.")
    if options.quick:
        options.rounds, options.base = 1, [QUICK]
    elif options.base is None:
        options.base = BASES
    return options


def _default_model() -> Path:
    """The default model's dequantised folder, made where it is missing. Raises NotFound without its package."""
    folder = Path(load_settings(base_model=DEFAULT_MODEL).base_model_path)
    return dequantised_copy(default_model_file(), folder, SAMPLING)


def _compare(name: str, options: argparse.Namespace, console: Console) -> None:
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        console.print(f"Building the base model {name}, the adapters and every system ...")
        base = _make_base(name, Path(folder), options)
        with _running(SYSTEMS, base) as systems:
            samples = _measure(systems, base, options, console)
    setting = Setting(
        base_model={"name": name, **asdict(base.shape), "parameters": base.parameters},
        dtype=options.dtype,
        rounds=options.rounds,
        is_quick=options.quick,
        loads=(load_before, os.getloadavg()[0]),
    )
    figures, verdicts = summarise(samples, ENGINE.name), judge(GOALS, samples)
    print_report(console, setting, figures, verdicts)
    options.results.mkdir(parents=True, exist_ok=True)
    stem = options.results / f"engine_vs_peers-{name}-{options.dtype}"
    write_json(stem.with_suffix(".json"), setting, samples, figures, verdicts)
    plot_figures(stem.with_suffix(".png"), setting.title, figures)
    console.print(f"Written: {stem}.json and .png")


def _make_base(name: str, folder: Path, options: argparse.Namespace) -> RandomBase:
    if name == SMOLLM2:
        return copy_base(folder, name, options.smollm2, dtype=options.dtype)
    return make_random_base(folder, name, QUICK_SHAPE if name == QUICK else BaseShape(), dtype=options.dtype)


@contextmanager
def _running(kinds: Sequence[SystemKind], base: RandomBase) -> Iterator[list[SystemProcess]]:
    systems = [SystemProcess(kind, base) for kind in kinds]
    try:
        for system in systems:
            system.wait_until_built()
        yield systems
    finally:
        for system in systems:
            system.close()


def _measure(
    systems: Sequence[SystemProcess],
    base: RandomBase,
    options: argparse.Namespace,
    console: Console,
) -> list[Sample]:
    encode = ChatTemplate(AutoTokenizer.from_pretrained(base.model_folder)).encode

    def draw(workload: Workload, seed: str) -> list[Request]:
        return workload.draw(encode, base.shape.vocab_size, seed)

    warm_up(systems, draw, ADAPTERS)
    turns = plan_turns(QUICK_WORKLOADS if options.quick else all_workloads(options.requests), options.rounds)
    samples = measure(
        systems,
        turns,
        draw,
        references=REFERENCES,
        # Rounding may change a close choice between two tokens: in bf16 any, in fp32 those of a real model.
        must_agree=options.dtype == "float32" and base.has_clear_choices,
    )
    return list(track(samples, "Measuring", total=sum(len(turn.systems) for turn in turns), console=console))


if __name__ == "__main__":
    raise SystemExit(main())
