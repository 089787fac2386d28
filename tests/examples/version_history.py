"""A persona with four adapter versions, verdicts on them and thumbs of people of unequal zeal, for the web page."""

from __future__ import annotations

import random
import time
from typing import Any

from sqlalchemy import update

from bot.service.service import Service
from core.adapters.registry import RegisteredAdapter
from core.generation import WeightedAdapter
from core.store import feedback
from core.store.models import Feedback
from tests.examples.measurements import measured, ones
from tests.examples.store import record_answered, write_adapter
from training.gate import decide
from training.gate_policy import GatePolicy

DAY_S = 86_400.0
REASON = "It failed its gate. Replies with a flaw rose."
METRICS = {"steps": 120, "first_loss": 2.5, "last_loss": 1.25, "seconds": 61.5}


async def write_history(service: Service, slug: str) -> list[RegisteredAdapter]:
    """Version 1 shipped, 2 answers behind a passed gate, 3 failed its gate, 4 was judged by none."""
    store, registry, base = service.store, service.registry, service.settings.base_slug
    found: list[RegisteredAdapter] = []
    for number in (2, 3, 4):
        folder = write_adapter(service.settings.adapters_dir / slug / base / str(number), f"{slug} {number}".encode())
        lineage: dict[str, Any] = {"method": "feedback", "metrics": METRICS, "data": {"rows": 40}}
        await registry.register(store, persona=slug, base_slug=base, folder=folder, lineage=lineage)
        if number < 4:
            await _judge(service, slug, number)
        if number == 2:
            reason = "It passed its gate. Votes are told apart better: 71 % instead of 58 %."
            await registry.promote(store, slug, base, 2, force=False, by="ann", reason=reason, over=1)
    async with store.read() as session:
        found = await registry.versions(session, slug, base)
    for version, likes in zip(found, (0.55, 0.8), strict=False):
        await _give_thumbs(service, version, likes)
    return found


async def _judge(service: Service, slug: str, number: int) -> None:
    is_good = number == 2
    challenger = measured(str(number), flawed=ones(0.05 if is_good else 0.6), held_out_nll=(25.0,) * 40)
    report = decide(GatePolicy(), challenger, measured("1")).to_dict()
    async with service.store.write() as session:
        await service.registry.record_gate(
            session,
            slug,
            service.settings.base_slug,
            number,
            passed=report["passed"],
            by="gate",
            reason="It passed its gate." if is_good else REASON,
            report=report,
        )


async def _give_thumbs(service: Service, version: RegisteredAdapter, likes: float) -> None:
    chance = random.Random(version.version)
    now = time.time()
    async with service.store.write() as session:
        for person in range(12):
            for number in range(1 + int(chance.paretovariate(1.2)) % 8):
                exchange_id = await record_answered(
                    session,
                    model=version.persona,
                    base_model=version.base_model,
                    adapters=(WeightedAdapter(version.ref, 1.0),),
                    event_id=f"{version.ref.name} {person} {number}",
                    user_id=f"person{person}",
                )
                who, liked = f"person{person}", chance.random() < likes
                await feedback.record(session, exchange_id=exchange_id, user_id=who, label=liked, source="playground")
                given_at = now - chance.random() * 40 * DAY_S
                await session.execute(
                    update(Feedback).where(Feedback.exchange_id == exchange_id).values(given_at=given_at)
                )
