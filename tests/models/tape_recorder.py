"""Stands in for CUDA graphs on the CPU: what was recorded is repeated operator by operator on the very same tensors.

No line of Python runs again, results go where they went the first time, and an operator that would wait for the device
or bring numbers from Python to it cannot be recorded: what a graph would get wrong, a tape gets wrong as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

UNRECORDABLE = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.lift_fresh.default,
    torch.ops.aten.nonzero.default,
}


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in UNRECORDABLE:
            raise RuntimeError(f"{func} cannot be recorded")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    def repeat(self) -> None:
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeRecorder:
    """A Recorder. `error` is raised by the next step that is recorded or repeated, then forgotten.

    `repeat_error` likewise by the next that is repeated.
    """

    def __init__(self) -> None:
        self.recorded = 0
        self.repeated = 0
        self.forgotten = 0
        self.error: Exception | None = None
        self.repeat_error: Exception | None = None

    def record(self, step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        self._fail()
        step()  # as a GPU warms up
        with _Tape() as tape:
            output = step()
        output.fill_(float("nan"))  # what is recorded on a GPU is not run
        self.recorded += 1

        def repeat() -> torch.Tensor:
            self.error = self.error or self.repeat_error
            self.repeat_error = None
            self._fail()
            self.repeated += 1
            tape.repeat()
            return output

        return repeat

    def forget(self) -> None:
        self.forgotten += 1

    def _fail(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error
