"""What a trial of rollouts is made of: adapter versions that are changed on purpose, and people who ask a real service.

Knows nothing of what is measured.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import load_file, save_file

from bot.chat.platform import IncomingMessage
from bot.chat.responder import PendingReply
from bot.service.service import Service
from core.adapters.content_hash import CONFIG_FILE, LINEAGE_FILE, WEIGHTS_FILE
from core.adapters.registry import RegisteredAdapter
from core.errors import NotFound
from core.generation import SamplingOverrides
from core.messages import ChatMessage
from core.store.models import Exchange

BY = "trial"


async def champion_of(service: Service, slug: str) -> RegisteredAdapter:
    """Raises NotFound for a persona without an adapter."""
    async with service.store.read() as session:
        found = await service.registry.champion(session, slug, service.settings.base_slug)
    if found is None:
        raise NotFound(f"{slug} has no adapter on {service.settings.base_model}; choose another persona.")
    return found


async def add_version(service: Service, champion: RegisteredAdapter, factor: float) -> RegisteredAdapter:
    """The champion's adapter with B times `factor`, as a version whose gate is said to have passed.

    A factor of 0 leaves the base model with the persona's system prompt, which may still bring half of the voice; below
    0 it leads away from it.
    """
    slug, base = champion.persona, champion.base_model
    folder = service.settings.adapters_dir / slug / base / f"trial-{factor:g}"
    _write_scaled(champion.folder, folder, factor)
    lineage = champion.lineage | {"method": "trial", "b_times": factor}
    (folder / LINEAGE_FILE).write_text(json.dumps(lineage), encoding="utf-8")
    new = await service.registry.register(service.store, persona=slug, base_slug=base, folder=folder, lineage=lineage)
    reason = f"No gate was asked: {champion.ref.name} with B times {factor:g}, for a trial."
    async with service.store.write() as session:
        return await service.registry.record_gate(session, slug, base, new.version, passed=True, by=BY, reason=reason)


def _write_scaled(source: Path, folder: Path, factor: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(source / WEIGHTS_FILE)
    scaled = {name: tensor * factor if ".lora_B." in name else tensor for name, tensor in weights.items()}
    save_file(scaled, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    shutil.copyfile(source / CONFIG_FILE, folder / CONFIG_FILE)


def question(slug: str, text: str, place: str, person: str, sampling: SamplingOverrides) -> IncomingMessage:
    """What a person asks a persona in a conversation, as the API's clients do; never the same event twice."""
    event_id = f"{place}-{uuid.uuid4().hex}"
    messages = (ChatMessage("user", text),)
    return IncomingMessage("api", event_id, place, person, messages, model=slug, sampling=sampling)


async def pieces(reply: PendingReply) -> AsyncGenerator[None]:
    """Once for each piece of a reply, as it comes. Raises RuntimeError with why there is none."""
    async for chunk in reply.chunks():
        if chunk.error is not None:
            raise RuntimeError(chunk.error)
        yield


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that a person got, and the content hash of the version that wrote it."""

    exchange_id: str
    person: str
    content_hash: str


@dataclass(slots=True)
class Crowd:
    """People who ask one persona, each question in a conversation of its own, as the API's clients do."""

    service: Service
    slug: str
    prompts: Sequence[str]
    people: int
    max_new_tokens: int
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8], init=False)  # conversations never repeat
    asked: int = field(default=0, init=False)

    async def ask(self) -> Answer:
        """The next person asks the next question. Raises what the responder raises."""
        number, self.asked = self.asked, self.asked + 1
        person, place = f"api:person-{number % self.people}", f"api:trial-{self._run}-{number}"
        sampling = SamplingOverrides(max_new_tokens=self.max_new_tokens, seed=number)
        asked = question(self.slug, self.prompts[number % len(self.prompts)], place, person, sampling)
        reply = await self.service.responder.open(asked)
        async for _ in pieces(reply):
            pass
        async with self.service.store.read() as session:
            written = await session.get(Exchange, reply.exchange_id)
        assert written is not None
        return Answer(reply.exchange_id, person, written.adapters[0]["content_hash"])
