"""The versions of a persona in a real Chromium: from the playground's link, on a desk and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.examples.rollout import hear_people, let_people_meet_it, roll_out, standing_of_zen
from tests.examples.store import write_adapter
from tests.examples.version_history import write_history

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PHONE = {"width": 360, "height": 740}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def history(server):
    await write_history(server.service, "zen")


async def picture(page, name: str) -> None:
    """Kept only for whoever wants to look: PERSONAS_TEST_PICTURES names a folder."""
    if folder := os.environ.get("PERSONAS_TEST_PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_a_version_is_rolled_back_and_another_promoted_by_force_with_a_reason(page, history):
    await picture(page, "playground")
    async with page.expect_popup() as opened:  # the chat stays open in its own tab
        await page.get_by_role("link", name="Versions").click()
    page = await opened.value
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    await expect(page.get_by_text("zen@2 answers")).to_be_visible()
    await picture(page, "all")
    await page.get_by_role("link", name="Master Zen").click()
    await expect(page.get_by_role("heading", name="zen@2")).to_contain_text("gate passed")
    await expect(page.get_by_role("img", name="Share of thumbs up over time")).to_have_count(2)
    await picture(page, "versions")

    await page.get_by_role("textbox", name="Why go back").fill("People liked the first one.")
    await page.get_by_role("button", name="Roll back to zen@1").click()
    await expect(page.get_by_role("status")).to_have_text("It answers again from the next reply on.")
    await expect(page.get_by_role("heading", name="zen@1")).to_contain_text("answers")
    await expect(page.get_by_text("Why: People liked the first one.").first).to_be_visible()

    failed = page.get_by_role("article", name="zen@3")
    await failed.get_by_text("Promote it although its gate failed").click()
    await failed.get_by_role("button", name="Promote by force").click()  # the reason is asked for: nothing is sent
    await expect(page.get_by_role("heading", name="zen@1")).to_contain_text("answers")
    await failed.get_by_role("textbox").fill("A trial for today.")
    await failed.get_by_role("button", name="Promote by force").click()
    await expect(page.get_by_role("heading", name="zen@3")).to_contain_text("answers")
    await expect(page.get_by_text("without a passing gate (forced)").first).to_be_visible()
    await picture(page, "forced")
    assert problems == []


async def begin_rollout(server) -> tuple[int, int]:
    """Another version of zen's meets people, who like it less; its number, and the champion's."""
    service = server.service
    folder = write_adapter(service.settings.adapters_dir / "zen" / "smollm2" / "rollout", b"rollout")
    new = await service.registry.register(service.store, persona="zen", base_slug="smollm2", folder=folder, lineage={})
    async with service.store.write() as session:
        await service.registry.record_gate(session, "zen", "smollm2", new.version, passed=True, by="gate")
        champion = await service.registry.champion(session, "zen", "smollm2")
    assert champion is not None
    await roll_out(service.store, new.version, over=champion.version, shadow_replies=30)
    await let_people_meet_it(service.registry, service.store)
    await hear_people(service.registry, service.store, {champion.version: 6, new.version: 3}, people=9)
    return new.version, champion.version


async def test_a_rollout_is_paused_goes_on_and_is_aborted_with_a_reason(browser, page, server, history):
    challenger, champion = await begin_rollout(server)
    await page.goto(f"{server.url}/versions/zen")
    shown = page.get_by_role("region", name=f"Rollout of zen@{challenger}")
    await expect(shown).to_contain_text("step 2 of 2: people judge")
    await expect(shown).to_contain_text(f"zen@{challenger} answers in 50% of new conversations")
    await expect(shown.get_by_role("row", name="share of 👍, 95 %")).to_contain_text("33% liked")
    await picture(page, "rollout")

    phone = await browser.new_context(viewport=PHONE)
    small = await phone.new_page()
    await small.goto(f"{server.url}/versions/zen")
    assert await small.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for button in await small.get_by_role("region", name="Rollout of").get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 40 and box["x"] + box["width"] <= PHONE["width"]
    await picture(small, "phone-rollout")
    await phone.close()

    await shown.get_by_role("textbox").fill("Over the holidays.")
    await shown.get_by_role("textbox").press("Enter")  # which pauses, and ends nothing
    await expect(page.get_by_role("status")).to_contain_text("The rollout is paused")
    await expect(shown).to_contain_text("the web page paused the rollout: Over the holidays.")
    await picture(page, "rollout-paused")
    await shown.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("status")).to_have_text("The rollout goes on.")
    await shown.get_by_role("textbox").fill("It rambles.")
    await shown.get_by_role("button", name=f"Abort: zen@{champion} answers everywhere").click()
    await expect(page.get_by_role("status")).to_contain_text("the champion answers everywhere")
    await expect(shown).to_have_count(0)
    assert (await standing_of_zen(server.service.store)).reason == "the web page aborted the rollout: It rambles."


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_nothing_runs_out_of_the_page(browser, server, history, scheme):
    context = await browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = await context.new_page()
    for path in ("/versions", "/versions/zen"):
        await page.goto(f"{server.url}{path}")
        await expect(page.get_by_role("article").first).to_be_visible()
        for details in await page.locator("summary").all():
            await details.click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await picture(page, f"phone-{scheme}-{path.count('/')}")
    for button in await page.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 40
    await context.close()
