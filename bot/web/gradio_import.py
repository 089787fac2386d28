"""Gradio, imported without the type stubs that it writes into its own folder: they take half of the time.

Whatever here uses Gradio takes it from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _without_type_stubs() -> Iterator[None]:
    """Gradio 6 reads and parses the source of every component, unless Python does not know where it lies."""
    getfile = inspect.getfile

    def getfile_of_no_component(of: Any) -> str:
        if isinstance(of, type) and hasattr(of, "EVENTS"):
            raise OSError("The sources of Gradio's components are left alone.")
        return getfile(of)

    inspect.getfile = getfile_of_no_component  # type: ignore[assignment]  # it is called by position
    try:
        yield
    finally:
        inspect.getfile = getfile


with _without_type_stubs():
    import gradio as gr

__all__ = ["gr"]
