"""Linear layers on the CPU with their weights in oneDNN's own order, which batches of a few tokens multiply faster.

MKL, which torch takes for fp32, rearranges a weight anew for every product. That costs as much as multiplying by eight
tokens, and oneDNN's order saves it. The packed weight takes the plain one's place, so no memory is spent on it.
"""

from __future__ import annotations

import functools
from collections import Counter

import torch
from torch import nn

# A product through oneDNN takes about 15 µs longer to begin, which smaller weights do not earn back.
MIN_ELEMENTS = 500_000
# The batch that oneDNN chooses its order for. Any other can be multiplied too.
TYPICAL_TOKENS = 8


class PackedLinear(nn.Linear):
    """nn.Linear whose weight is opaque: it knows its shape, dtype and device, and only oneDNN reads its numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _multiply(x, self.weight, self.bias)


def pack_linears(model: nn.Module, *, min_elements: int = MIN_ELEMENTS) -> None:
    """Pack a frozen model's linear layers in place, where that is known to be faster: fp32 on a CPU with AVX-512.

    Subclasses of nn.Linear, such as bitsandbytes' layers, and weights that two modules share stay as they are.
    """
    if not can_pack():
        return
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    for module in model.modules():
        if type(module) is nn.Linear and owners[id(module.weight)] == 1 and _is_worth_it(module.weight, min_elements):
            _turn_into(PackedLinear, module, _pack(module.weight.detach()))


def unpack_linears(model: nn.Module) -> None:
    """Undo `pack_linears`."""
    for module in model.modules():
        if isinstance(module, PackedLinear):
            _turn_into(nn.Linear, module, module.weight.detach().to_dense())


@functools.cache
def can_pack() -> bool:
    """Whether this machine and this torch pack and multiply as expected. The operators are no public interface."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    weight, bias, x = torch.linspace(-1, 1, 64 * 32).view(64, 32), torch.linspace(-1, 1, 64), torch.ones(1, 3, 32)
    try:
        packed = _pack(weight)
        is_right = torch.allclose(_multiply(x, packed, bias), nn.functional.linear(x, weight, bias), atol=1e-4)
        return is_right and torch.equal(packed.to_dense(), weight)
    except (AttributeError, RuntimeError, TypeError):
        return False


def _turn_into(kind: type[nn.Linear], module: nn.Linear, weight: torch.Tensor) -> None:
    module.weight = nn.Parameter(weight, requires_grad=False)
    module.__class__ = kind


def _is_worth_it(weight: torch.Tensor, min_elements: int) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= min_elements


def _pack(weight: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight, TYPICAL_TOKENS)
    return packed


def _multiply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return y
