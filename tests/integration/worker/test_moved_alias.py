"""A promotion and a rollback while fifty conversations are being answered, over real HTTP."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI

from tests.examples.store import write_adapter
from tests.running.patience import TIMEOUT_S
from tests.running.serving import LiveServer, live_server  # noqa: F401 - a fixture

CONVERSATIONS = 50
ZEN = ("zen", "smollm2")


async def ask(server: LiveServer, client: AsyncOpenAI, group: str, number: int) -> tuple[str, str]:
    """The version that a reply says it was written by, and the one that the ledger names."""
    answer = await client.chat.completions.create(
        model="zen", messages=[{"role": "user", "content": f"hello {group} {number}"}], user=f"{group}-{number}"
    )
    text = str(answer.choices[0].message.content)
    assert text.endswith(f"hello {group} {number}")
    [adapter] = (await server.exchange(answer.id)).adapters
    return text.split("]")[0].removeprefix("["), str(adapter["name"])


async def begin(server: LiveServer, client: AsyncOpenAI, group: str) -> list[asyncio.Task[tuple[str, str]]]:
    """Fifty conversations more, all of them in the ledger; none is answered while the engine's gate is closed."""
    known = len(await server.exchanges())
    tasks = [asyncio.create_task(ask(server, client, group, number)) for number in range(CONVERSATIONS)]
    async with asyncio.timeout(TIMEOUT_S):
        while len(await server.exchanges()) < known + CONVERSATIONS:  # noqa: ASYNC110 - a ledger sets no event
            await asyncio.sleep(0.05)
    return tasks


async def test_a_promotion_and_a_rollback_under_load_lose_no_reply_and_none_is_of_a_wrong_version(
    live_server: LiveServer,  # noqa: F811
):
    registry, store = live_server.service.registry, live_server.service.store
    folder = write_adapter(live_server.service.settings.adapters_dir / "zen" / "smollm2" / "better", b"better")
    live_server.echo.gate.close()
    async with live_server.client() as client:
        before = await begin(live_server, client, "before")
        new = await registry.register(store, persona=ZEN[0], base_slug=ZEN[1], folder=folder, lineage={})
        await registry.promote(store, *ZEN, new.version, force=True, by="test")
        promoted = await begin(live_server, client, "promoted")
        await registry.rollback(store, *ZEN, by="test")
        behind = await begin(live_server, client, "behind")
        live_server.echo.gate.open()
        assert set(await asyncio.gather(*before)) == {("zen@1", "zen@1")}
        assert set(await asyncio.gather(*promoted)) == {("zen@2", "zen@2")}
        assert set(await asyncio.gather(*behind)) == {("zen@1", "zen@1")}
