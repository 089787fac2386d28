"""Decode steps of the engine's runner on a CUDA device: recorded ones beside eager ones.

    python -m benchmarks.decode_graphs                  # a random model of 52 M parameters
    python -m benchmarks.decode_graphs --base FOLDER    # a real Llama's weights

Both sides hold the same model and adapters and take turns. A step ends when its likeliest tokens are on the host, as
the engine's steps do. The median of all rounds' ratios is what counts; times are those of this device.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.random_base import BaseShape, RandomBase, copy_base, make_random_base
from core.engine.adapter_files import AdapterReader
from core.engine.decode_graphs import Recorder, recorder_for
from core.engine.kv_slots import SlotTokens
from core.engine.loading import load_base_model
from core.engine.model_runner import ModelRunner, make_runner
from core.engine.multi_lora import AdapterStack

SLOTS = ADAPTERS = 8
MAX_TOKENS = 1024
PROMPT_TOKENS = 200


class Side:
    """A runner all of whose slots have read a prompt, each for an adapter of its own where `has_lora`."""

    def __init__(self, base: RandomBase, device: str, recorder: Recorder | None, *, has_lora: bool) -> None:
        loaded = load_base_model(str(base.model_folder), device=device, dtype=base.dtype, quantization="none")
        stack = AdapterStack(loaded.model, rows=ADAPTERS, slots=SLOTS, dtype=loaded.dtype)
        self.runner: ModelRunner = make_runner(
            loaded.model, stack, slots=SLOTS, max_tokens=MAX_TOKENS, recorder=recorder
        )
        reader = AdapterReader((base.folder,), stack.targets, 64)
        for row, (ref, folder) in enumerate(zip(base.adapter_refs, base.adapter_folders, strict=True)):
            stack.load(row, reader.read(ref, folder))
        prompt = [index % 500 + 10 for index in range(PROMPT_TOKENS)]
        for slot in range(SLOTS):
            stack.assign(slot, {slot: 1.0} if has_lora else {})
            self.runner.forward([(SlotTokens(slot, 0, PROMPT_TOKENS), prompt)], [0])

    def seconds_per_step(self, rows: int, steps: int) -> float:
        tokens = [10] * rows
        started = time.perf_counter()
        for position in range(PROMPT_TOKENS, PROMPT_TOKENS + steps):
            parts = [(SlotTokens(slot, position, 1), [token]) for slot, token in enumerate(tokens)]
            tokens = self.runner.forward(parts, range(rows)).argmax(-1).tolist()
        return (time.perf_counter() - started) / steps


def compare(
    base: RandomBase, device: str, record_on: Callable[[torch.device], Recorder | None], *, rounds: int, steps: int
) -> None:
    """Print the table."""
    print("| rows | adapters | eager ms | recorded ms | eager / recorded |")
    print("|---|---|---|---|---|")
    for has_lora in (True, False):
        eager = Side(base, device, None, has_lora=has_lora)
        recorded = Side(base, device, record_on(torch.device(device)), has_lora=has_lora)
        for rows in (1, 2, 4, 8):
            for side in (eager, recorded):
                side.seconds_per_step(rows, 2)  # warm, and recorded
            turns = [[side.seconds_per_step(rows, steps) for side in (eager, recorded)] for _ in range(rounds)]
            slow, fast = (1000 * statistics.median(times) for times in zip(*turns, strict=True))
            ratio = statistics.median(one / other for one, other in turns)
            print(f"| {rows} | {rows if has_lora else 0} | {slow:.2f} | {fast:.2f} | {ratio:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, metavar="FOLDER", help="a real model's folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device, and steps are recorded on one alone.")
    with tempfile.TemporaryDirectory() as folder:
        made = {"adapters": ADAPTERS, "dtype": "bfloat16"}
        if options.base is None:
            base = make_random_base(Path(folder), "50m", BaseShape(), **made)
        else:
            base = copy_base(Path(folder), options.base.name, options.base, **made)
        compare(base, "cuda:0", recorder_for, rounds=options.rounds, steps=options.steps)


if __name__ == "__main__":
    main()
