"""Linear layers on the CPU with their weights in a library's own order, which batches of a few tokens multiply faster.

Where fp16 holds an fp32 weight, that is FBGEMM's: see half_weights.py. Else it is oneDNN's. MKL, which torch takes for
fp32, rearranges a weight for each product. That costs as much as multiplying by eight tokens, and oneDNN's order saves
it. The packed weight takes the plain one's place, so no memory is spent on it; only a head that shares its weight with
the embeddings is packed as a copy.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from core.engine.cpu_features import has_fast_bf16
from core.engine.half_weights import is_faster_in_half, multiply_half, pack_in_half, unpack_half
from core.engine.host_memory import free_bytes

# A product through oneDNN takes about 15 µs longer to begin than MKL's, which smaller weights do not earn back. In bf16
# all go through oneDNN.
MIN_ELEMENTS = {torch.float32: 500_000, torch.bfloat16: 100_000}
# With AVX2 alone, batches gain in layers of any shape, but a lone token pays a quarter more in most. Output heads gain
# twofold, gate and up as one an eighth, and their lone token pays little or nothing. They are that many times wider
# than deep.
WIDE_ASPECT = 5
# The batch that oneDNN chooses its order for. Any other can be multiplied too.
TYPICAL_TOKENS = 8
# The first sums go up to 30, where bf16 knows steps of 1/8.
PROBE_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.25}

logger = logging.getLogger(__name__)


class PackedLinear(nn.Linear):
    """nn.Linear whose weight is opaque: it knows its shape, dtype and device, and only oneDNN reads its numbers.

    `shared` holds the plain weight where other modules use that as well, else nothing; it is no parameter here.
    """

    shared: tuple[torch.Tensor, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _multiply(x, self.weight, self.bias)

    def pack(self, weight: torch.Tensor) -> None:
        """Take a plain weight [out, in], which is not changed."""
        self.weight = nn.Parameter(_pack(weight), requires_grad=False)

    def to_dense(self) -> torch.Tensor:
        """[out, in]: the weight in plain order."""
        return self.weight.detach().to_dense()


class HalfLinear(PackedLinear):
    """PackedLinear that keeps an fp32 weight in fp16. Its `weight` holds no numbers, and is on no device."""

    _packed: Any

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return multiply_half(x, self._packed)

    def pack(self, weight: torch.Tensor) -> None:
        self._packed = pack_in_half(weight, self.bias)
        self.weight = nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=False)

    def to_dense(self) -> torch.Tensor:
        return unpack_half(self._packed)


def is_faster_packed(weight: torch.Tensor, capability: str | None = None) -> bool:
    """Whether packing a weight [out, in] pays, by its shape and dtype. `capability` is the CPU's, in torch's words."""
    outputs, inputs = weight.shape
    is_wide = outputs >= WIDE_ASPECT * inputs
    needs_width = weight.dtype == torch.float32 and (capability or torch.backends.cpu.get_cpu_capability()) == "AVX2"
    return weight.numel() >= MIN_ELEMENTS.get(weight.dtype, 0) and (is_wide or not needs_width)


def choose_packing(weight: torch.Tensor) -> type[PackedLinear] | None:
    """What a weight [out, in] is multiplied fastest as on this machine; None where that is nn.Linear."""
    if is_faster_in_half(weight):
        return HalfLinear
    return PackedLinear if can_pack(weight.dtype) and is_faster_packed(weight) else None


def pack_linears(
    model: nn.Module,
    *,
    choose: Callable[[torch.Tensor], type[PackedLinear] | None] = choose_packing,
    free: Callable[[], int] = free_bytes,
) -> None:
    """Pack a frozen model's linear layers on the CPU in place, where this machine can and it is known to be faster.

    A weight that other modules use too is packed as a copy for each of its linear layers, and the others keep the plain
    one; where half of the `free` bytes does not hold the copy, the layer stays plain, which the log says. Subclasses of
    nn.Linear, such as bitsandbytes' layers, stay as they are.
    """
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    for name, module in model.named_modules():
        if type(module) is not nn.Linear or module.weight.device.type != "cpu":
            continue
        if (kind := choose(module.weight.detach())) is None:
            continue
        is_shared = owners[id(module.weight)] > 1
        size = module.weight.nbytes // (2 if kind is HalfLinear else 1)
        if is_shared and size > free() // 2:
            logger.warning(
                "%s is not packed: its copy of %.1f GB would take over half of the free memory; replies are slower.",
                name,
                size / 1e9,
            )
            continue
        plain = module.weight
        _turn_into(kind, module)
        assert isinstance(module, PackedLinear)  # noqa: S101  # which mypy cannot know
        module.pack(plain.detach())
        module.shared = (plain,) if is_shared else ()


def unpack_linears(model: nn.Module) -> None:
    """Undo `pack_linears`: what was shared is shared again."""
    for module in model.modules():
        if isinstance(module, PackedLinear):
            shared = module.shared
            module.weight = shared[0] if shared else nn.Parameter(module.to_dense(), requires_grad=False)
            for name in ("shared", "_packed"):
                module.__dict__.pop(name, None)
            _turn_into(nn.Linear, module)


@functools.cache
def can_pack(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this machine and this torch pack and multiply as expected. The operators are no public interface.

    bf16 only where the CPU multiplies it in hardware.
    """
    has_instructions = has_fast_bf16() if dtype == torch.bfloat16 else _has_avx2()
    if dtype not in PROBE_TOLERANCE or not has_instructions:
        return False
    weight, bias = torch.linspace(-1, 1, 64 * 32).view(64, 32).to(dtype), torch.linspace(-1, 1, 64).to(dtype)
    x = torch.ones(1, 3, 32, dtype=dtype)
    try:
        packed = _pack(weight)
        expected = nn.functional.linear(x, weight, bias)
        is_right = torch.allclose(_multiply(x, packed, bias), expected, atol=PROBE_TOLERANCE[dtype])
        return is_right and torch.equal(packed.to_dense(), weight)
    except (AttributeError, RuntimeError, TypeError):
        return False


def _has_avx2() -> bool:
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AVX2"))


def _turn_into(kind: type[nn.Linear], module: nn.Module) -> None:
    module.__class__ = kind


def _pack(weight: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight, TYPICAL_TOKENS)
    return packed


def _multiply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return y
