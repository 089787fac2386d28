"""A message to the responder, personas for it, and what it wrote into the ledger."""

from __future__ import annotations

from sqlalchemy import select

from bot.chat.platform import IncomingMessage
from core.messages import ChatMessage
from core.store.models import Exchange

HELLO = (ChatMessage("user", "hello"),)


def message(**changes):
    values = {"source": "api", "event_id": "e1", "conversation_id": "c1", "user_id": "ann", "messages": HELLO}
    return IncomingMessage(**values | changes)


def write_persona(folder, slug, sampling=""):
    (folder / slug).mkdir(parents=True)
    toml = f'name = "{slug.title()}"\ndescription = "d"\ngreeting = "hi"\n[sampling]\n{sampling}\n'
    (folder / slug / "persona.toml").write_text(toml, encoding="utf-8")
    (folder / slug / "system_prompt.md").write_text(f"You are {slug}.", encoding="utf-8")


async def rows(store):
    async with store.read() as session:
        return list(await session.scalars(select(Exchange)))
