"""How adapters are blended into one: the method, its numbers, and what each method asks for. Pure.

The methods are PEFT's, see `LoraModel.add_weighted_adapter`. "cat" lays the adapters side by side and is exact; so is
"svd" where its rank holds them all. The others are not: "linear" adds up A and B each by itself, "ties" and "dare" drop
weights before they add (https://arxiv.org/abs/2306.01708, https://arxiv.org/abs/2311.03099).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.errors import InvalidInput
from training.recipes import MAX_R

METHODS = ("cat", "svd", "linear", "ties", "ties_svd", "dare_linear", "dare_linear_svd", "dare_ties", "dare_ties_svd")
NEED_ONE_RANK = frozenset({"linear", "ties", "dare_linear", "dare_ties"})
DEFAULT_DENSITY = 0.5
MajoritySign = Literal["total", "frequency"]


@dataclass(frozen=True, slots=True)
class BlendedAdapter:
    """One adapter of a blend. `ranks` are those of its layers, `narrowest` the smallest side of a layer it changes."""

    name: str
    content_hash: str
    weight: float
    ranks: frozenset[int]
    narrowest: int

    @property
    def r(self) -> int:
        return max(self.ranks)


@dataclass(frozen=True, slots=True)
class BlendRecipe:
    """What is asked for. `rank` is the blend's, None for what the method makes of its adapters; `density` the share of
    weights that "ties" and "dare" keep; `seed` decides which those are for "dare"."""

    method: str = "cat"
    rank: int | None = None
    density: float | None = None
    majority_sign: MajoritySign = "total"
    seed: int = 0

    @property
    def is_pruning(self) -> bool:
        return self.method.startswith(("ties", "dare"))

    def resolve(self, adapters: Sequence[BlendedAdapter]) -> BlendRecipe:
        """The recipe with every number that these adapters decide. Raises InvalidInput where they cannot be blended."""
        if self.density is not None and not self.is_pruning:
            raise InvalidInput(f"{self.method} keeps all weights; leave --density out, or choose ties or dare.")
        density = (self.density or DEFAULT_DENSITY) if self.is_pruning else None
        return replace(self, rank=self._resolve_rank(adapters), density=density)

    def is_exact(self, adapters: Sequence[BlendedAdapter]) -> bool:
        """Whether the blend computes what its adapters do together in one request."""
        needed = min(sum(adapter.r for adapter in adapters), *(adapter.narrowest for adapter in adapters))
        return self.method == "cat" or (self.method == "svd" and (self.rank or 0) >= needed)

    def _resolve_rank(self, adapters: Sequence[BlendedAdapter]) -> int:
        together = sum(adapter.r for adapter in adapters)
        if self.method.endswith("svd"):
            return min(self.rank or together, MAX_R, *(adapter.narrowest for adapter in adapters))
        if self.rank is not None:
            raise InvalidInput(f"{self.method} decides the rank itself; leave --rank out, or choose a method with svd.")
        listed = ", ".join(f"{adapter.name} r={adapter.r}" for adapter in adapters)
        if self.method in NEED_ONE_RANK:
            if len(frozenset().union(*(adapter.ranks for adapter in adapters))) != 1:
                raise InvalidInput(
                    f"{self.method} needs adapters of one rank, and these are not ({listed}); choose cat, svd or"
                    f" {'ties_svd' if self.method == 'linear' else f'{self.method}_svd'}."
                )
            return adapters[0].r
        if together > MAX_R:
            raise InvalidInput(
                f"The blend would have r={together} ({listed}), and at most {MAX_R} is served; choose --method svd,"
                " which comes near it."
            )
        return together
