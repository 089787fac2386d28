"""Gradio, without what it does for nobody: type stubs in its own folder while it is imported, and apps without a page.

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

from gradio.routes import App  # noqa: E402  # it imports the rest of Gradio


@contextmanager
def without_apps() -> Iterator[None]:
    """Within the block Gradio builds no app for a page: it gets one when it is mounted, and others for nothing."""
    create_app = App.create_app
    App.create_app = staticmethod(lambda *_, **__: None)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        App.create_app = staticmethod(create_app)  # type: ignore[method-assign]


__all__ = ["gr", "without_apps"]
