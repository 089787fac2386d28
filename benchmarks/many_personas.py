"""Many registered personas and few that are popular: does memory stay flat, and what does a cold persona cost?

    python -m benchmarks.many_personas                     # 2,000 personas on SmolLM2's shape, some minutes on 2 cores
    python -m benchmarks.many_personas --quick             # a toy model, to see that everything runs

One request after another asks for a persona, the k-th most popular one 1/k as often as the first (Zipf). Whose adapter
is on the device, in host memory or on disk only is noted before each, and the time to the first token by that: a miss
costs what the disk rows have beyond the device rows. The adapters' weights are a few files with many names, each of a
content of its own to the engine; before a miss the file is dropped from the system's cache, where the system can. The
resident memory is read all along. Prints two tables and writes every figure as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers.utils import logging as transformers_logging

from benchmarks.measure import percentile
from benchmarks.random_base import NAMED, QUICK_SHAPE, BaseShape, RandomBase, make_random_base
from core.adapters.content_hash import CONFIG_FILE, WEIGHTS_FILE, content_hash
from core.engine.loading import load_base_model
from core.engine.transformers_engine import TransformersEngine
from core.errors import EngineFailed
from core.generation import AdapterRef, GenerationRequest, SamplingParams, WeightedAdapter
from core.messages import ChatMessage

SMOLLM2_SHAPE = BaseShape(576, 1536, 30, 9, 3, 49152)
FILES = 8  # of weights, which the personas share
PROMPT_WORDS = 24
CONTEXT_TOKENS = 64
READINGS = 20  # of the resident memory
PLACES = ("device", "host", "disk")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: where its adapter was, seconds to the first token, and the resident bytes afterwards."""

    place: str
    first_token_s: float
    memory_bytes: int


class LinkedAdapters:
    """Adapter folders whose weights are hard links to a few files; their contents differ in the config alone."""

    def __init__(self, base: RandomBase, count: int) -> None:
        self._folders: dict[str, Path] = {}
        self.refs: list[AdapterRef] = []
        originals = [(folder, (folder / WEIGHTS_FILE).read_bytes()) for folder in base.adapter_folders]
        for number, (original, weights) in zip(range(count), itertools.cycle(originals), strict=False):
            folder = base.folder / "linked" / f"persona{number}"
            folder.mkdir(parents=True)
            config = json.loads((original / CONFIG_FILE).read_bytes()) | {"number": number}
            text = json.dumps(config).encode()
            (folder / CONFIG_FILE).write_bytes(text)
            (folder / WEIGHTS_FILE).hardlink_to(original / WEIGHTS_FILE)
            ref = AdapterRef(f"persona{number}@1", content_hash(weights, text))
            self._folders[ref.content_hash] = folder
            self.refs.append(ref)

    async def find(self, ref: AdapterRef) -> Path:
        return self._folders[ref.content_hash]

    def drop_from_cache(self, ref: AdapterRef) -> None:
        """Have the system forget the file's pages, so that the next reader waits for the disk."""
        if hasattr(os, "posix_fadvise"):
            with (self._folders[ref.content_hash] / WEIGHTS_FILE).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def ask_all(base: RandomBase, adapters: LinkedAdapters, options: argparse.Namespace) -> list[Asked]:
    """All requests, one after another, on an engine of the size that `personas` has by default."""
    engine = TransformersEngine(
        lambda: load_base_model(str(base.model_folder), device="cpu", dtype=base.dtype, quantization="none"),
        adapter_folders=adapters,
        adapter_roots=[base.folder],
        max_context_tokens=CONTEXT_TOKENS,
    )
    await engine.start()
    rng = random.Random(0)
    shares = [1 / (number + 1) for number in range(len(adapters.refs))]
    wanted = rng.choices(adapters.refs, shares, k=options.requests)
    process = psutil.Process()
    asked = []
    for number, ref in track(list(enumerate(wanted)), "Asking", console=Console(stderr=True)):
        place = next((known.place for known in engine.adapters() if known.ref == ref), "disk")
        if place == "disk":
            adapters.drop_from_cache(ref)
        words = [f"w{rng.randrange(len(NAMED), base.shape.vocab_size)}" for _ in range(PROMPT_WORDS)]
        first_token_s = await _first_token_s(engine, ref, f"request {number}", " ".join(words))
        asked.append(Asked(place, first_token_s, process.memory_info().rss))
    await engine.close()
    return asked


async def _first_token_s(engine: TransformersEngine, ref: AdapterRef, name: str, text: str) -> float:
    sampling = SamplingParams(max_new_tokens=1, temperature=0.0)
    request = GenerationRequest(name, name, (ChatMessage("user", text),), (WeightedAdapter(ref, 1.0),), sampling)
    started = time.perf_counter()
    async for chunk in engine.submit(request):
        if chunk.error is not None:
            raise EngineFailed(chunk.error)
    return time.perf_counter() - started


def summarise(asked: Sequence[Asked]) -> dict[str, Any]:
    """Milliseconds to the first token by place, what a miss adds, and how memory grew over the second half."""
    times = {place: [each.first_token_s * 1e3 for each in asked if each.place == place] for place in PLACES}
    figures = {
        place: {"requests": len(some), "p50_ms": percentile(some, 50), "p99_ms": percentile(some, 99)}
        for place, some in times.items()
        if some
    }
    added = None
    if "disk" in figures and "device" in figures:
        added = {each: figures["disk"][each] - figures["device"][each] for each in ("p50_ms", "p99_ms")}
    memory = [each.memory_bytes for each in asked]
    return {
        "first_token": figures,
        "miss_adds": added,
        "memory_bytes": memory[:: max(1, len(memory) // READINGS)] + memory[-1:],
        "memory_growth_of_second_half": memory[-1] / memory[len(memory) // 2] - 1,
    }


def print_summary(console: Console, title: str, summary: Mapping[str, Any]) -> None:
    table = Table(title=title)
    for name in ("adapter was", "requests", "first token p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "adapter was" else "right")
    for place, row in summary["first_token"].items():
        table.add_row(f"on {place}", str(row["requests"]), f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}")
    if added := summary["miss_adds"]:
        table.add_row("what a miss adds", "", f"{added['p50_ms']:.1f}", f"{added['p99_ms']:.1f}")
    console.print(table)
    readings = ", ".join(f"{value / 1e6:.0f}" for value in summary["memory_bytes"])
    growth = summary["memory_growth_of_second_half"]
    console.print(f"Resident MB, evenly over the run: {readings}. The second half added {growth:+.1%}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write. Returns the exit code."""
    options = _parse(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        shape = QUICK_SHAPE if options.quick else SMOLLM2_SHAPE
        base = make_random_base(Path(folder), "many", shape, adapters=min(FILES, options.personas), dtype=options.dtype)
        asked = asyncio.run(ask_all(base, LinkedAdapters(base, options.personas), options))
    summary = summarise(asked)
    title = f"{options.personas} personas, {options.requests} requests, {base.parameters / 1e6:.0f}M parameters"
    print_summary(Console(), f"{title}, {options.dtype}", summary)
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"many_personas-{'quick' if options.quick else 'smollm2'}-{options.dtype}.json"
    content = {"personas": options.personas, **summary, "requests": [asdict(each) for each in asked]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {path}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--personas", type=int, default=2000, help="registered (%(default)s)")
    parser.add_argument("--requests", type=int, default=1500, help="one after another (%(default)s)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(%(default)s)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="folder for the JSON")
    parser.add_argument("--quick", action="store_true", help="a toy model; its figures mean nothing")
    options = parser.parse_args(arguments)
    if min(options.personas, options.requests) < 1:
        parser.error("--personas and --requests must be at least 1.")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
