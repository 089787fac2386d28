"""/personas: everybody with picture, adapter version, evaluation and base model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from core.settings import ROOT
from core.store import feedback
from tests.discord.commands import PNG, registered, use
from tests.discord.rooms import DiscordRoom, connected, discord_room
from tests.fakes.fake_discord.messages import Message
from tests.running.serving import write_persona

MEASURED = {"metrics": {"evaluation": {"perplexity_ratio": 0.25, "adherence": {"adapter_rate": 0.81}}}}


def fields(card: dict[str, Any]) -> dict[str, str]:
    return {field["name"]: field["value"] for field in card["fields"]}


def card_of(shown: Message, title: str) -> dict[str, Any]:
    [card] = [card for card in shown.embeds if card["title"] == title]
    return card


def folders(parent: Path, count: int) -> None:
    """So many personas besides codebeard and zen."""
    for number in range(count):
        write_persona(parent / "personas" / f"p{number}", f"Persona {number}", "🎭")


async def test_the_gallery_shows_everybody_to_the_asker_alone(room: DiscordRoom):
    await registered(room)
    shown = await use(room, "personas")
    assert shown.only_for is room.ann
    assert [card["title"] for card in shown.embeds] == ["🏴 Captain Codebeard", "🧘 Master Zen"]
    assert fields(shown.embeds[1]) == {
        "Answers with": "adapter zen@1",
        "Base model": "smollm2",
        "Evaluation": "not measured",
    }
    assert shown.embeds[1]["footer"]["text"] == "/persona zen"
    assert not shown.buttons


async def test_the_figures_of_the_evaluation_and_the_thumbs_are_shown(tmp_path: Path):
    folders(tmp_path, 1)
    (tmp_path / "personas/p0/adapters/smollm2/lineage.json").write_text(json.dumps(MEASURED), encoding="utf-8")
    async with discord_room(tmp_path, default_persona="p0") as room:
        await registered(room)
        exchange = await room.ended(await room.asks("hello"))
        async with room.service.store.write() as session:
            judgement = {"exchange_id": exchange.id, "user_id": f"discord:{room.ann.id}", "source": "discord"}
            await feedback.record(session, label=True, **judgement)
        shown = fields(card_of(await use(room, "personas"), "🎭 Persona 0"))
    assert shown["Evaluation"] == "perplexity ×0.25, adherence 81%"
    assert shown["Thumbs"] == "👍 1 · 👎 0"


async def test_a_persona_without_an_adapter_says_so(tmp_path: Path):
    folders(tmp_path, 1)
    shutil.rmtree(tmp_path / "personas/p0/adapters")
    async with discord_room(tmp_path) as room:
        await registered(room)
        shown = fields(card_of(await use(room, "personas"), "🎭 Persona 0"))
    assert shown["Answers with"] == "its system prompt alone"


async def test_pictures_come_with_the_page_they_belong_to(tmp_path: Path):
    folders(tmp_path, 4)
    for number in (0, 3):
        (tmp_path / f"personas/p{number}/avatar.png").write_bytes(PNG)
    async with discord_room(tmp_path) as room:  # codebeard, p0, p1, p2 and then p3, zen
        await registered(room)
        shown = await use(room, "personas")
        assert [attachment["filename"] for attachment in shown.attachments] == ["p0.png"]
        assert ["thumbnail" in card for card in shown.embeds] == [False, True, False, False]
        assert shown.embeds[1]["thumbnail"]["url"].startswith("attachment://p0.png")
        await room.ann.presses(shown, "▶")
        await room.fake.wait_for(lambda: len(shown.embeds) == 2)
        assert [attachment["filename"] for attachment in shown.attachments] == ["p3.png"]


async def test_pages_turn_in_a_circle_also_after_a_restart(tmp_path: Path):
    folders(tmp_path, 7)
    async with discord_room(tmp_path) as room:
        await registered(room)
        shown = await use(room, "personas")
        assert [button["label"] for button in shown.buttons] == ["◀", "1/3", "▶"]
        await room.chat.close()
        async with connected(room.fake, room.service):
            await room.ann.presses(shown, "◀")
            await room.fake.wait_for(lambda: [card["title"] for card in shown.embeds] == ["🧘 Master Zen"])
            await room.ann.presses(shown, "▶")
            await room.fake.wait_for(lambda: shown.embeds[0]["title"] == "🏴 Captain Codebeard")


def test_every_bundled_persona_has_a_small_picture_of_its_own():
    pictures = [folder / "avatar.png" for folder in (ROOT / "personas").iterdir() if (folder / "persona.toml").exists()]
    contents = {picture.read_bytes() for picture in pictures}
    assert len(contents) == len(pictures) == 4
    for content in contents:
        assert content.startswith(b"\x89PNG\r\n")
        assert len(content) < 40_000
        assert content[16:24] == (256).to_bytes(4, "big") * 2  # width and height in the IHDR chunk
