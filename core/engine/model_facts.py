"""What a base model's own configuration says about serving it. Knows no requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.generation import SamplingParams

# RoPE kinds whose frequencies depend on the longest sequence of a batch: beyond the original length a reply would
# depend on its neighbours.
LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")


def context_limit(model: PreTrainedModel, wanted_tokens: int) -> int:
    """Tokens of prompt and reply that can be served: as wanted, but no more than the model's own positions."""
    config = model.config.get_text_config()
    positions = [getattr(config, field, None) for field in ("max_position_embeddings", "n_positions")]
    limits = [wanted_tokens, *(value for value in positions if isinstance(value, int) and value > 0)]
    for rope in _rope_parameters(config):
        original = rope.get("original_max_position_embeddings")
        if rope.get("rope_type") in LENGTH_DEPENDENT_ROPE and isinstance(original, int):
            limits.append(original)
    return min(limits)


def _rope_parameters(config: Any) -> Iterator[Mapping[str, Any]]:
    """RoPE parameters of a config, of each layer type where they differ."""
    parameters = getattr(config, "rope_parameters", None) or {}
    if "rope_type" in parameters:
        yield parameters
    else:
        yield from (each for each in parameters.values() if isinstance(each, dict))


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end a reply: the generation config's and the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    tokens = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*tokens, tokenizer.eos_token_id) if token is not None)


def default_sampling(model: PreTrainedModel) -> SamplingParams:
    """The generation config as sampling parameters; where it says nothing, SamplingParams' own defaults."""
    config = model.generation_config
    defaults = SamplingParams()
    if config is None or config.do_sample is None:
        return defaults

    def own(field: str, otherwise: float) -> Any:
        value = getattr(config, field, None)
        return otherwise if value is None else value

    return SamplingParams(
        temperature=own("temperature", 1.0) if config.do_sample else 0.0,
        top_p=own("top_p", defaults.top_p),
        top_k=own("top_k", defaults.top_k),
        repetition_penalty=own("repetition_penalty", defaults.repetition_penalty),
    )
