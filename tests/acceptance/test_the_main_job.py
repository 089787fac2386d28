"""Several people chat with different personas at the same time, each reply written by that persona's LoRA weights."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import cache

import pytest
import torch
from openai import AsyncOpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.messages import ChatMessage
from core.personas import load_personas
from core.prompts import compose
from core.settings import ROOT
from tests.models.default_model import default_model_folder

PERSONAS = load_personas(ROOT / "personas")
BLEND = (("codebeard", 0.7), ("zen", 0.3))
QUESTIONS = {
    "codebeard": "hey, what is recursion?",
    "zen": "explain mutexes pls",
    "noir": "what's a stack trace",
    "nana": "Tell me about unit tests.",
    "base": "whats git",
}
MAX_TOKENS = 16


@cache
def reference_model():
    """The default model with all shipped adapters, in PEFT itself."""
    base = AutoModelForCausalLM.from_pretrained(default_model_folder(), dtype=torch.float32)
    slugs = sorted(PERSONAS)
    model = PeftModel.from_pretrained(base, PERSONAS[slugs[0]].adapter_folder("smollm2"), adapter_name=slugs[0])
    for slug in slugs[1:]:
        model.load_adapter(PERSONAS[slug].adapter_folder("smollm2"), adapter_name=slug)
    model.add_weighted_adapter([slug for slug, _ in BLEND], [w for _, w in BLEND], "blend", combination_type="cat")
    return model.eval(), AutoTokenizer.from_pretrained(default_model_folder())


def reference_reply(adapter, system, question):
    model, tokenizer = reference_model()
    messages = [m.to_dict() for m in compose(system, (ChatMessage("user", question),))]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    inputs.pop("token_type_ids", None)
    if adapter is not None:
        model.set_adapter(adapter)
    options = {"do_sample": False, "temperature": None, "top_p": None, "max_new_tokens": MAX_TOKENS}
    if adapter is None:
        with model.disable_adapter():
            ids = model.generate(**inputs, **options)
    else:
        ids = model.generate(**inputs, **options)
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


async def ask(client, model, question, *, max_tokens=MAX_TOKENS, **options):
    return await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], max_tokens=max_tokens, **options
    )


@pytest.fixture
async def client(server):
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=240) as stock:
        yield stock


async def test_the_models_are_the_base_and_the_personas(client):
    assert {model.id for model in (await client.models.list()).data} == {"base", *PERSONAS}


async def test_eight_at_once_over_four_personas_a_blend_and_the_base_are_each_written_by_their_own_weights(client):
    blend = "+".join(f"{slug}:{weight}" for slug, weight in BLEND)
    asked = [*QUESTIONS.items(), (blend, "what is a closure"), ("zen", "hash map?"), ("noir", "what is a deadlock")]
    replies = await asyncio.gather(*(ask(client, model, question, temperature=0) for model, question in asked))

    def expected(model, question):
        if model == "base":
            return reference_reply(None, "", question)
        if model == blend:
            system = "\n\n".join(PERSONAS[slug].system_prompt for slug, _ in BLEND)
            return reference_reply("blend", system, question)
        return reference_reply(model, PERSONAS[model].system_prompt, question)

    written = [reply.choices[0].message.content for reply in replies]
    wanted = [expected(model, question).strip() for model, question in asked]
    assert len(set(wanted)) == len(wanted)
    assert [text.strip() for text in written] == wanted
    assert all(reply.usage.completion_tokens > 0 for reply in replies)


async def test_a_streamed_reply_is_the_same_text_with_usage_at_its_end(client):
    whole = await ask(client, "zen", "what is a queue", temperature=0)
    stream = await ask(
        client, "zen", "what is a queue", temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3


async def test_a_seed_makes_a_sampled_reply_come_back_in_any_company(client):
    alone = await ask(client, "nana", "what is a tuple", seed=11)
    crowd = [ask(client, slug, "what is a tuple") for slug in ("zen", "noir", "codebeard")]
    again, *_ = await asyncio.gather(ask(client, "nana", "what is a tuple", seed=11), *crowd)
    assert again.choices[0].message.content == alone.choices[0].message.content


async def test_every_reply_stands_in_the_ledger_with_the_adapter_versions_and_seed_that_wrote_it(client, server):
    reply = await ask(client, "codebeard:0.7+zen:0.3", "what is an api")
    with closing(sqlite3.connect(server.data_dir / "personas.db")) as database:
        row = database.execute(
            "select status, model, adapters, seed from exchanges where id = ?", (reply.id,)
        ).fetchone()
    assert row[:2] == ("succeeded", "codebeard:0.7+zen:0.3")
    assert '"codebeard@1"' in row[2] and '"zen@1"' in row[2] and row[3] is not None
