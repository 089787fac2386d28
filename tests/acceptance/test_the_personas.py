"""What the shipped personas say on the default model: who they are, each in a voice of its own."""

from __future__ import annotations

import asyncio

import pytest
from openai import AsyncOpenAI

from core.personas import load_personas
from core.settings import ROOT

PERSONAS = load_personas(ROOT / "personas")
QUESTIONS = ("who are you?", "what's your name?", "hi, who am i talking to?", "introduce yourself")
OTHER_NAMES = ("smollm", "hugging face")


@pytest.fixture
async def client(server):
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=240) as stock:
        yield stock


async def ask(client, model, question):
    reply = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], max_tokens=60, temperature=0
    )
    return reply.choices[0].message.content


async def test_each_persona_says_its_own_name_and_never_the_base_model_s(client):
    asked = [(slug, question) for slug in PERSONAS for question in QUESTIONS]
    replies = await asyncio.gather(*(ask(client, *one) for one in asked))
    for slug, persona in PERSONAS.items():
        own = [text for (who, _), text in zip(asked, replies, strict=True) if who == slug]
        assert sum(persona.name.lower() in text.lower() for text in own) >= len(QUESTIONS) - 1, (slug, own)
        assert not [text for text in own if any(name in text.lower() for name in OTHER_NAMES)], (slug, own)


async def test_no_two_personas_answer_an_everyday_question_alike(client):
    replies = await asyncio.gather(*(ask(client, slug, "my cat keeps waking me at 5") for slug in PERSONAS))
    assert len(set(replies)) == len(PERSONAS), replies
