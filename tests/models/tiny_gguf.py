"""A tiny random Llama as a GGUF file, written by ggml's own writer: made in a second, no network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

from tests.models.tiny_models import CHATML_TEMPLATE, make_tokenizer

WIDTH, FEED_FORWARD, LAYERS, HEADS, KEY_HEADS, HEAD_DIM = 64, 96, 2, 4, 2, 16
CONTROL, NORMAL = 3, 1  # llama.cpp's token types


def make_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    kind: GGMLQuantizationType = GGMLQuantizationType.Q4_1,
    has_template: bool = True,
    seed: int = 0,
) -> Path:
    """Write the file; `kind` is how its matrices are stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    vocab = _add_tokenizer(writer, has_template)
    random = np.random.default_rng(seed)
    for name, shape in _shapes(vocab).items():
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, dtype=np.float32))
        else:
            weights = random.normal(scale=0.2, size=shape).astype(np.float32)
            writer.add_tensor(name, quants.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter, has_template: bool) -> int:
    tokenizer = make_tokenizer()
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    model = tokenizer.backend_tokenizer.model
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token.startswith("<|") else NORMAL for token in tokens])
    writer.add_token_merges(_merges(model))
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if has_template:
        writer.add_chat_template(CHATML_TEMPLATE)
    return len(tokens)


def _merges(model: object) -> list[str]:
    state = json.loads(model.__getstate__())  # type: ignore[attr-defined]
    return [" ".join(pair) if isinstance(pair, list) else pair for pair in state["merges"]]


def _shapes(vocab: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocab, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (WIDTH,),
            f"blk.{layer}.attn_q.weight": (HEADS * HEAD_DIM, WIDTH),
            f"blk.{layer}.attn_k.weight": (KEY_HEADS * HEAD_DIM, WIDTH),
            f"blk.{layer}.attn_v.weight": (KEY_HEADS * HEAD_DIM, WIDTH),
            f"blk.{layer}.attn_output.weight": (WIDTH, HEADS * HEAD_DIM),
            f"blk.{layer}.ffn_norm.weight": (WIDTH,),
            f"blk.{layer}.ffn_gate.weight": (FEED_FORWARD, WIDTH),
            f"blk.{layer}.ffn_up.weight": (FEED_FORWARD, WIDTH),
            f"blk.{layer}.ffn_down.weight": (WIDTH, FEED_FORWARD),
        }
    return shapes
