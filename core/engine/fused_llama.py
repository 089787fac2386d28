"""The Llama family without transformers' modelling code: the same weights in fewer operators, for all slots at once.

`fuse` takes the weights out of a loaded model; `FusedRunner.give_back` returns them. Whether the logits are the model's
own is for the caller to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from core.engine.fused_layer import Attention, FusedLayer, Norm
from core.engine.joined_linear import JoinedLinear, join_linears, pair_up
from core.engine.kv_slots import AttentionRule, KvSlots, PackedStep, SlotTokens, pack_step
from core.engine.lora_linear import linear_shape
from core.engine.multi_lora import AdapterStack
from core.engine.packed_linear import unpack_linears
from core.engine.program import Program
from core.engine.slot_keeper import SlotKeeper
from core.engine.step_attention import StepAttention, shape_of


@dataclass(frozen=True, slots=True)
class Family:
    """What a model's modules do not tell. `norm_offset` is added to the weights of norms."""

    norm_offset: float = 0.0
    has_score_cap: bool = False
    has_rope_by_layer: bool = False


# Of steps that decode. Replies come and go, and what decodes together seldom does so again.
MAX_PROGRAMS = 8
# By the config's model_type. SmolLM2 is a Llama.
FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(),
    "qwen3": Family(),
    "phi3": Family(),
    "gemma2": Family(norm_offset=1.0, has_score_cap=True),
    "gemma3_text": Family(norm_offset=1.0, has_rope_by_layer=True),
}


@dataclass(frozen=True, slots=True)
class BoundStep:
    """A program that reads ids, positions and slots, `inputs` [3, tokens], and writes `output` [tokens, features]."""

    program: Program
    inputs: torch.Tensor
    output: torch.Tensor


class FusedRunner(SlotKeeper):
    """A ModelRunner, see there. `linears` holds every linear layer, and what may share a weight with one."""

    def __init__(
        self, model: PreTrainedModel, layers: Sequence[FusedLayer], norm: Norm, kv: KvSlots, stack: AdapterStack
    ) -> None:
        super().__init__(kv)
        body: Any = model.model
        self._embed = body.embed_tokens
        self._rotary = body.rotary_emb
        self._head = model.lm_head
        self._cap: float | None = getattr(model.config, "final_logit_softcapping", None)
        self._norm = norm
        self._like = torch.empty(0, device=model.device)  # so that rotations come in fp32
        self._dtype_like = self._like.to(model.dtype)
        self._programs: dict[Any, BoundStep] = {}
        self._changes = stack.changes
        self.stack = stack
        self.device = model.device
        self.layers = layers
        self._joined = [part for layer in layers for part in (layer.qkv, layer.o, layer.gate_up, layer.down)]
        joined = nn.ModuleList(part.linear for part in self._joined)
        self.linears = nn.ModuleDict({"embed_tokens": self._embed, "lm_head": self._head, "layers": joined})

    @torch.inference_mode()
    def forward(self, parts: Sequence[tuple[SlotTokens, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        step = pack_step(parts, self.device)
        self.stack.activate([(part.slot, part.count) for part, _ in parts], step.slots)
        bound = self._find(step) or self._bind_step(step)
        bound.inputs.copy_(step.rows)
        bound.program.run()
        is_all = list(wanted) == list(range(len(step.slots)))
        return self._logits(bound.output if is_all else bound.output[step.last_of(wanted)])

    def compute(self, inputs: torch.Tensor, attention: Attention) -> torch.Tensor:
        """Logits [tokens, vocab] of packed ids, positions and slots [3, tokens]; the stack is prepared for them."""
        bound = self._bind(inputs, attention)
        bound.program.run()
        return self._logits(bound.output)

    def reset(self) -> None:
        self._programs.clear()
        super().reset()

    def _find(self, step: PackedStep) -> BoundStep | None:
        """The program of a step that only decodes; kept for those that follow, which are mostly alike."""
        if not all(span.is_decode for span in step.spans):
            return None
        if self._changes != self.stack.changes:
            self._programs.clear()
            self._changes = self.stack.changes
        key = tuple(map(shape_of, step.spans)), self.stack.uses
        bound = self._programs.pop(key, None) or self._bind_step(step)
        self._programs[key] = bound  # as the latest
        if len(self._programs) > MAX_PROGRAMS:
            del self._programs[next(iter(self._programs))]
        return bound

    def _bind_step(self, step: PackedStep) -> BoundStep:
        inputs = step.rows.clone()
        return self._bind(inputs, StepAttention(self.kv, step.spans, inputs[2], inputs[1]))

    def _bind(self, inputs: torch.Tensor, attention: Attention) -> BoundStep:
        program = Program(self._dtype_like)
        ids, positions = inputs[:1], inputs[1:2]
        turns = {kind: self._turns(positions, kind) for kind in {layer.rope for layer in self.layers}}
        x = program.room("x", inputs.shape[1], self._embed.embedding_dim)
        program.store(x.unsqueeze(0), self._embed, ids)
        for kind, each in turns.items():
            program.store(each, self._turns, positions, kind)
        for layer in self.layers:
            layer.bind(program, x, turns[layer.rope], attention)
        output = program.room("output", *x.shape)
        self._norm.bind(program, x, output)
        return BoundStep(program, inputs, output)

    def _logits(self, output: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(output)
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap

    @property
    def has_fixed_rotations(self) -> bool:
        """Whether a token's rotation depends on its position alone, and not on how long the sequences are."""
        kinds = self._rotary.rope_type
        names = kinds.values() if isinstance(kinds, dict) else (kinds,)
        return not any("dynamic" in name or name == "longrope" for name in names)

    def give_back(self) -> None:
        """Return the weights to the model, which computes as before; this runner is of no use any more."""
        self.reset()
        self.stack.split()
        unpack_linears(self.linears)
        for part in self._joined:
            part.give_back()

    def _turns(self, positions: torch.Tensor, kind: str | None) -> torch.Tensor:
        """[tokens, 1, rotary / 2] as complex numbers, from the model's own rotary embedding."""
        cos, sin = self._rotary(self._like, positions, *(() if kind is None else (kind,)))
        half = cos.shape[-1] // 2
        return torch.complex(cos[0, :, None, :half], sin[0, :, None, :half])


def find_fuse_obstacle(model: PreTrainedModel) -> str | None:
    """Why a model keeps transformers' modelling code, as far as its config and its layers tell."""
    if model.config.model_type not in FAMILIES:
        return f"{model.config.model_type} is none of the architectures that are fused"
    if model.device.type not in ("cpu", "cuda"):
        return f"it is on {model.device.type}"
    body: Any = model.model
    linears = [module for layer in body.layers for module in layer.modules() if linear_shape(module) != (0, 0)]
    if any(type(linear) is not nn.Linear for linear in linears):
        return "its layers are not plain linear ones"
    return None


def fuse(model: PreTrainedModel, stack: AdapterStack, *, slots: int, max_tokens: int) -> FusedRunner:
    """Move a model's weights into a fused runner, layer by layer, so that they lie in memory once.

    Raises what a model raises that is built in other ways than its family; it has its weights back then.
    """
    reader = _Reader(model, stack)
    try:
        layers = [reader.read_layer(index) for index in range(model.config.num_hidden_layers)]
        body: Any = model.model
        return FusedRunner(model, layers, reader.norm(body.norm), KvSlots(slots, max_tokens), stack)
    except BaseException:
        stack.split()
        for part in reader.joined:
            part.give_back()
        raise


class _Reader:
    """Reads the layers of one model."""

    def __init__(self, model: PreTrainedModel, stack: AdapterStack) -> None:
        self._model = model
        self._stack = stack
        self._config: Any = model.config
        self._family = FAMILIES[model.config.model_type]
        self.joined: list[JoinedLinear] = []

    def read_layer(self, index: int) -> FusedLayer:
        layer = self._model.model.layers[index]
        attention, mlp = layer.self_attn, layer.mlp
        heads, kv_heads = self._config.num_attention_heads, self._config.num_key_value_heads
        rope = attention.layer_type if self._family.has_rope_by_layer else None
        pairs = partial(pair_up, dim=attention.head_dim, rotary=self._rotary_size(rope), device=self._model.device)
        has_four_norms = hasattr(layer, "pre_feedforward_layernorm")
        names = f"model.layers.{index}.self_attn", f"model.layers.{index}.mlp"
        return FusedLayer(
            index,
            qkv=self._join(names[0], ("q_proj", "k_proj", "v_proj"), "qkv_proj", pairs(heads + kv_heads)),
            o=self._join(names[0], ("o_proj",)),
            gate_up=self._join(names[1], ("gate_proj", "up_proj"), "gate_up_proj"),
            down=self._join(names[1], ("down_proj",)),
            heads=heads,
            kv_heads=kv_heads,
            rule=self._rule(attention),
            rope=rope,
            activation=mlp.act_fn if hasattr(mlp, "act_fn") else mlp.activation_fn,
            input_norm=self.norm(layer.input_layernorm),
            mlp_norm=self.norm(layer.pre_feedforward_layernorm if has_four_norms else layer.post_attention_layernorm),
            heads_norm=self._heads_norm(attention, pairs(1)) if hasattr(attention, "q_norm") else None,
            attention_out_norm=self.norm(layer.post_attention_layernorm) if has_four_norms else None,
            mlp_out_norm=self.norm(layer.post_feedforward_layernorm) if has_four_norms else None,
        )

    def norm(self, module: Any) -> Norm:
        return self._make_norm(module, module.weight)

    def _heads_norm(self, attention: Any, order: torch.Tensor) -> Norm:
        counts = (self._config.num_attention_heads, self._config.num_key_value_heads)
        norms = (attention.q_norm, attention.k_norm)
        rows = [norm.weight[order].expand(count, -1) for norm, count in zip(norms, counts, strict=True)]
        return self._make_norm(norms[0], torch.cat(rows))

    def _make_norm(self, module: Any, weight: torch.Tensor) -> Norm:
        eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
        return Norm(weight.detach().float() + self._family.norm_offset, eps)

    def _rule(self, attention: Any) -> AttentionRule:
        # Some families keep the window in each layer, where it may be None, and others in the config.
        own = attention if hasattr(attention, "sliding_window") else self._config
        cap = self._config.attn_logit_softcapping if self._family.has_score_cap else None
        return AttentionRule(attention.scaling, getattr(own, "sliding_window", None), cap)

    def _rotary_size(self, rope: str | None) -> int:
        place = torch.zeros(1, 1, dtype=torch.long, device=self._model.device)
        cos, _ = self._model.model.rotary_emb(place.float(), place, *(() if rope is None else (rope,)))
        return int(cos.shape[-1])

    def _join(
        self, parent: str, children: tuple[str, ...], whole: str | None = None, begin: torch.Tensor | None = None
    ) -> JoinedLinear:
        """These layers of a parent as one, or its `whole` that is one already. `begin`: the first outputs' order."""
        module = self._model.get_submodule(parent)
        if whole is not None and hasattr(module, whole):
            children = (whole,)
        members: list[nn.Linear] = [getattr(module, child) for child in children]
        sizes = [member.out_features for member in members]
        order = torch.arange(sum(sizes), device=self._model.device)
        if begin is not None:
            order[: len(begin)] = begin
        columns = torch.split(order.argsort(), sizes)
        names = [f"{parent}.{child}" for child in children]
        lora = self._stack.join(dict(zip(names, columns, strict=True)))
        joined = JoinedLinear(join_linears(members, order), lora, members, order)
        self.joined.append(joined)
        return joined
