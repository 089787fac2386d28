"""A step as calls that are bound to the tensors they read and write, so that it can be run many times.

On a CPU, a decode step of a small model waits for Python to make views and to look at shapes as long as for its small
operators. A program does that once, when it is made; only the operators are left to its runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch


class Program:
    """Calls in their order. `like` gives the tensors that they share, its rooms, a dtype and a device."""

    def __init__(self, like: torch.Tensor) -> None:
        self.like = like
        self._calls: list[Callable[[], object]] = []
        self._rooms: dict[tuple[str, tuple[int, ...], torch.dtype], torch.Tensor] = {}

    def run(self) -> None:
        """Make all calls."""
        for call in self._calls:
            call()

    def room(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A contiguous tensor for results; whoever asks for the same name and shape later writes over them."""
        key = name, shape, dtype or self.like.dtype
        if key not in self._rooms:
            self._rooms[key] = self.like.new_empty(shape, dtype=dtype)
        return self._rooms[key]

    def add(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call a function that writes to tensors it is given."""
        self._calls.append(partial(function, *args, **kwargs))

    def store(self, out: torch.Tensor, function: Callable[..., torch.Tensor], *args: Any) -> None:
        """Call a function that returns a new tensor, which is copied to `out`."""
        self._calls.append(lambda: out.copy_(function(*args)))

    def accumulate(self, out: torch.Tensor, function: Callable[..., torch.Tensor], *args: Any) -> None:
        """Call a function that returns a new tensor, which is added to `out`."""
        self._calls.append(lambda: out.add_(function(*args)))
