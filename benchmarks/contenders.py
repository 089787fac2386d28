"""Who is compared with whom, and the goals: ratios within the same run."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.own_engine import engine_with_lora, engine_without_lora
from benchmarks.peers_continuous import continuous_with_lora, continuous_without_lora
from benchmarks.peers_generate import peft_lone, peft_mixed_batch, peft_one_by_one, plain_batch
from benchmarks.peers_llama_cpp import llama_cpp_with_lora, llama_cpp_without_lora, why_no_llama_cpp
from benchmarks.peers_vllm import vllm_with_lora, vllm_without_lora, why_no_vllm
from benchmarks.served_engine import served_engine
from benchmarks.summary import Goal
from benchmarks.systems import SystemKind
from benchmarks.workloads import Workload

ONE_BY_ONE = SystemKind("PEFT set_adapter + generate", peft_one_by_one)
LONE = SystemKind("PEFT generate", peft_lone, is_lone=True)
MIXED_BATCH = SystemKind("PEFT mixed batch", peft_mixed_batch)
PLAIN_BATCH = SystemKind("generate, no LoRA", plain_batch, has_lora=False)
CONTINUOUS = SystemKind("continuous batching + LoRA", continuous_with_lora)
CONTINUOUS_PLAIN = SystemKind("continuous batching, no LoRA", continuous_without_lora, has_lora=False)
LLAMA_CPP = SystemKind("llama.cpp + LoRA", llama_cpp_with_lora, is_checked=False, why_missing=why_no_llama_cpp)
LLAMA_CPP_PLAIN = SystemKind(
    "llama.cpp, no LoRA", llama_cpp_without_lora, has_lora=False, is_checked=False, why_missing=why_no_llama_cpp
)
VLLM = SystemKind("vLLM + LoRA", vllm_with_lora, why_missing=why_no_vllm)
VLLM_PLAIN = SystemKind("vLLM, no LoRA", vllm_without_lora, has_lora=False, why_missing=why_no_vllm)
ENGINE = SystemKind("this engine", engine_with_lora)
ENGINE_PLAIN = SystemKind("this engine, no LoRA", engine_without_lora, has_lora=False)
# A persona's own prompt comes before the question, so its tokens are others.
SERVED = SystemKind("this engine over HTTP", served_engine, is_checked=False)
SYSTEMS = (
    ONE_BY_ONE,
    LONE,
    MIXED_BATCH,
    PLAIN_BATCH,
    CONTINUOUS,
    CONTINUOUS_PLAIN,
    LLAMA_CPP,
    LLAMA_CPP_PLAIN,
    VLLM,
    VLLM_PLAIN,
    ENGINE,
    ENGINE_PLAIN,
    SERVED,
)
# Whose tokens are right, with and without LoRA: PEFT's and transformers' own.
REFERENCES = {True: ONE_BY_ONE.name, False: PLAIN_BATCH.name}

MANY = 64
EIGHT = Workload(8, "at once", "equal")


def _is_eight_at_once(workload: Workload) -> bool:
    return workload in (EIGHT, replace(EIGHT, lengths="ragged"))


def _is_lone(workload: Workload) -> bool:
    return workload == Workload(1, "at once", "equal")


def _speed_goal(text: str, other: SystemKind, at_least: float) -> Goal:
    """The engine writes 8 replies over 4 adapters at least so many times as fast as another system."""
    return Goal(text, ENGINE.name, other.name, lambda sample: sample.tokens_per_s, _is_eight_at_once, at_least=at_least)


GOALS = (
    _speed_goal("speed over PEFT set_adapter + generate", ONE_BY_ONE, 9),
    _speed_goal("speed over PEFT mixed batch", MIXED_BATCH, 3),
    _speed_goal("speed over llama.cpp with LoRA per request", LLAMA_CPP, 3),
    _speed_goal("speed over llama.cpp without any LoRA", LLAMA_CPP_PLAIN, 1.2),
    _speed_goal("speed over itself without LoRA", ENGINE_PLAIN, 0.92),
    Goal(
        "speed of a lone request over llama.cpp's",
        ENGINE.name,
        LLAMA_CPP.name,
        lambda sample: sample.tokens_per_s,
        _is_lone,
        at_least=0.9,
    ),
    Goal(
        f"time with {MANY} adapters over one adapter",
        ENGINE.name,
        ENGINE.name,
        lambda sample: 1 / sample.tokens_per_s,
        lambda workload: workload == Workload(MANY, "at once", "equal", adapters=MANY),
        at_most=1.25,
        against=lambda workload: replace(workload, adapters=1),
    ),
)
