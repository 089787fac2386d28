"""Peer: llama.cpp's server with LoRA per request, as PyPI's `xllamacpp` brings it, on a GGUF file.

It is asked by token ids over its own HTTP API. It batches requests of one adapter only, see its tools/server/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.over_http import HttpClient
from benchmarks.random_base import R, RandomBase
from benchmarks.systems import Capacity, Reply
from benchmarks.workloads import Request
from core.engine.adapter_files import AdapterReader
from core.engine.multi_lora import find_targets
from training.gguf_adapter import write_gguf_adapter

PACKAGE = "xllamacpp"
UNREAD = -1  # stands for a token whose id is of no interest


def why_no_llama_cpp(base: RandomBase) -> str | None:
    """Why this peer cannot take part and what helps; None when it can."""
    if find_spec(PACKAGE) is None:
        return f"{PACKAGE} is not installed; pip install {PACKAGE} brings it"
    if base.gguf is None:
        return "this base model has no GGUF file"
    return None


class LlamaCpp:
    """The server with as many slots as the others write replies at once, and every adapter loaded but not applied."""

    def __init__(self, base: RandomBase, capacity: Capacity, *, has_lora: bool) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(base.gguf)
        params.port = 0
        params.n_parallel = capacity.rows
        params.n_ctx = capacity.rows * capacity.context_tokens
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
        params.cache_prompt = params.warmup = False
        params.verbosity = -1
        self._has_lora = has_lora
        self._adapters = len(base.adapter_folders) if has_lora else 0
        if has_lora:
            params.lora_init_without_apply = True
            files = _write_adapters(base)
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 1.0) for path in files]
        self._server = xllamacpp.Server(params)
        self._client = HttpClient(f"{self._server.listening_address}/completion", word=self._word, read=_read)

    def serve(self, requests: Sequence[Request]) -> list[Reply]:
        return self._client.serve(requests)

    def close(self) -> None:
        self._client.close()

    def _word(self, request: Request) -> dict[str, Any]:
        body = {"prompt": list(request.prompt), "n_predict": request.new_tokens, "temperature": 0.0, "top_k": 1}
        scales = [{"id": index, "scale": float(index == request.adapter)} for index in range(self._adapters)]
        rest = {"ignore_eos": True, "stream": True, "cache_prompt": False}
        return body | rest | ({"lora": scales} if self._has_lora else {})


def _read(event: dict[str, Any], seen: int) -> Sequence[int]:
    """Its events hold back tokens that end inside a character, so they are counted instead."""
    return [UNREAD] * (event["tokens_predicted"] - seen)


def _write_adapters(base: RandomBase) -> list[Path]:
    """The adapters as GGUF files beside their folders."""
    config = AutoConfig.from_pretrained(base.model_folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    reader = AdapterReader((base.folder,), find_targets(model), R)
    paths = []
    for ref, folder in zip(base.adapter_refs, base.adapter_folders, strict=True):
        paths.append(folder.with_suffix(".gguf"))
        write_gguf_adapter(paths[-1], reader.read(ref, folder), config)
    return paths


def llama_cpp_with_lora(base: RandomBase, capacity: Capacity) -> LlamaCpp:
    return LlamaCpp(base, capacity, has_lora=True)


def llama_cpp_without_lora(base: RandomBase, capacity: Capacity) -> LlamaCpp:
    return LlamaCpp(base, capacity, has_lora=False)
