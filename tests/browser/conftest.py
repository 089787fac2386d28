"""One headless Chromium and one server for each file of tests; every test opens a page of its own."""

from __future__ import annotations

import os
import shutil

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from tests.running.serving import echo_server

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=60_000)  # a busy machine may be slow, and a test that fails waits this long once


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        reason = f"no Chromium is installed: none of {', '.join(NAMES)} is on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    async with echo_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, server):
    """The playground, open in a session of its own."""
    server.echo.gate.open()
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(60_000)
    page = await context.new_page()
    await page.goto(server.url)
    await expect(page.get_by_text("adapter codebeard@1")).to_be_visible()
    yield page
    server.echo.gate.open()
    await context.close()
