"""Compares this project's engine with its peers side by side: `python -m benchmarks.engine_vs_peers`.

The composition root of the benchmarks: which systems, which workloads, which goals.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from benchmarks.contenders import ENGINE, GOALS, REFERENCES, SYSTEMS
from benchmarks.measure import DifferentTokens, Sample, Turn, measure, warm_up, warm_up_workload
from benchmarks.plot import plot_figures
from benchmarks.random_base import QUICK_SHAPE, BaseShape, RandomBase, copy_base, make_random_base
from benchmarks.report import Setting, print_report, write_json
from benchmarks.summary import judge, summarise
from benchmarks.system_process import SideBySide, SystemFailed, SystemProcess
from benchmarks.systems import Capacity, SystemKind
from benchmarks.workloads import ARRIVALS, LENGTHS, Request, Workload, all_workloads
from core.default_model import DEFAULT_MODEL, SAMPLING, default_model_file
from core.engine.chat_template import ChatTemplate
from core.engine.gguf_copy import dequantised_copy
from core.errors import PersonasError
from core.settings import load_settings

ROUNDS = 5
COUNTS = (1, 4, 8, 16)
ROUNDS_HELP = "how often the workloads with a goal are measured; the others half as often"
QUICK_WORKLOADS = [Workload(1, "at once", "equal"), Workload(3, "at once", "ragged"), Workload(3, "spread", "equal")]
REPORT_WIDTH = 160
RESULTS = Path(__file__).parent / "results"
SMOLLM2, SMALL, QUICK = "smollm2", "50m", "quick"
BASES = (SMOLLM2, SMALL)


def plan_turns(workloads: Sequence[Workload], systems: Sequence[SystemKind], rounds: int) -> list[Turn]:
    """What is measured with these systems, in order: every round goes over its workloads once.

    Workloads with a goal take part in all rounds and with all systems. The others show how the picture changes with
    the load: half the rounds, and only the systems with LoRA.
    """
    judged = {each for goal in GOALS for one in workloads if goal.is_judged(one) for each in goal.pair(one)}
    turns = []
    for round_ in range(rounds):
        for workload in workloads:
            is_judged = workload in judged
            if is_judged or round_ < max(1, rounds // 2):
                kinds = [kind for kind in systems if workload.requests == 1 or not kind.is_lone]
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
    parser.add_argument("--adapters", type=int, nargs="*", default=(), help="also with so many adapters (64 1)")
    parser.add_argument("--prompts", type=int, nargs="*", default=(), help="also with so many tokens (32 2000)")
    parser.add_argument("--arrivals", choices=ARRIVALS, nargs="+", default=ARRIVALS, help="spread: Poisson (both)")
    parser.add_argument("--lengths", choices=LENGTHS, nargs="+", default=LENGTHS, help="of prompts and replies (both)")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="leave all others out")
    parser.add_argument("--base", choices=BASES, nargs="+", help="base models to measure (both)")
    parser.add_argument("--smollm2", type=Path, metavar="FOLDER", help="SmolLM2's folder (the default model's own)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file and the plot")
    parser.add_argument("--quick", action="store_true", help="one round on a toy model, to see that everything runs")
    options = parser.parse_args(arguments)
    if min(options.rounds, *options.requests, *options.adapters, *options.prompts) < 1:
        parser.error("--rounds, --requests, --adapters and --prompts must be at least 1.")
    names = [kind.name for kind in SYSTEMS]
    if unknown := set(options.systems or ()) - set(names):
        parser.error(f"--systems knows no {sorted(unknown)[0]!r}; there are {', '.join(map(repr, names))}.")
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
    workloads = QUICK_WORKLOADS if options.quick else _workloads(options)
    adapters = max(workload.adapters for workload in workloads)
    served = [*workloads, warm_up_workload(adapters, adapters)]
    capacity = Capacity(
        rows=max(workload.requests for workload in served),
        context_tokens=max(workload.longest_tokens for workload in served),
    )
    with tempfile.TemporaryDirectory() as folder:
        console.print(f"Building the base model {name}, the adapters and every system ...")
        base = _make_base(name, Path(folder), adapters, options)
        kinds = _choose(base, options.systems, console)
        with _running(kinds, base, capacity, console) as running:
            samples = _measure(running, base, plan_turns(workloads, kinds, options.rounds), options.dtype, console)
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


def _workloads(options: argparse.Namespace) -> list[Workload]:
    return all_workloads(
        options.requests, options.adapters, options.prompts, arrivals=options.arrivals, lengths=options.lengths
    )


def _make_base(name: str, folder: Path, adapters: int, options: argparse.Namespace) -> RandomBase:
    if name == SMOLLM2:
        gguf = default_model_file()
        return copy_base(folder, name, options.smollm2, adapters=adapters, gguf=gguf, dtype=options.dtype)
    shape = QUICK_SHAPE if name == QUICK else BaseShape()
    return make_random_base(folder, name, shape, adapters=adapters, dtype=options.dtype)


def _choose(base: RandomBase, wanted: Sequence[str] | None, console: Console) -> list[SystemKind]:
    """The systems that take part: the wanted ones, all by default. Says which are missing, and what brings them."""
    chosen = []
    for kind in SYSTEMS:
        if wanted is None or kind.name in (ENGINE.name, *wanted):
            why = kind.why_missing(base)
            if why is None:
                chosen.append(kind)
            else:
                console.print(f"Without {kind.name}: {why}.", soft_wrap=True)
    return chosen


@contextmanager
def _running(
    kinds: Sequence[SystemKind], base: RandomBase, capacity: Capacity, console: Console
) -> Iterator[SideBySide]:
    systems = [SystemProcess(kind, base, capacity) for kind in kinds]
    running = SideBySide(systems, ENGINE.name, partial(console.print, soft_wrap=True, markup=False))
    with closing(running):
        running.wait_until_built()
        yield running


def _measure(
    running: SideBySide,
    base: RandomBase,
    turns: Sequence[Turn],
    dtype: str,
    console: Console,
) -> list[Sample]:
    encode = ChatTemplate(AutoTokenizer.from_pretrained(base.model_folder)).encode

    def draw(workload: Workload, seed: str) -> list[Request]:
        return workload.draw(encode, base.shape.vocab_size, seed)

    warm_up(running, draw, base.adapters)
    samples = measure(
        running,
        turns,
        draw,
        references=REFERENCES,
        # Rounding may change a close choice between two tokens: in bf16 any, in fp32 those of a real model.
        must_agree=dtype == "float32" and base.has_clear_choices,
    )
    return list(track(samples, "Measuring", total=sum(len(turn.systems) for turn in turns), console=console))


if __name__ == "__main__":
    raise SystemExit(main())
