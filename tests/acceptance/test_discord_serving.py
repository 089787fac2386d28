"""`personas serve` on Discord with the default model: mentions, personas, thumbs, and thirty channels at once."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from statistics import median, quantiles

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.discord.server import (
    answer_to,
    body,
    choose_persona,
    exchanges_of,
    personas_at,
    rows,
    serving_discord,
    until,
)
from tests.fakes.fake_discord.server import FakeDiscord

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSONAS = ("codebeard", "nana", "noir", "zen")
QUESTIONS = ("what is recursion?", "explain mutexes pls", "whats git")
CHANNELS = 30
ALONE: dict[tuple[str, str], str] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake():
    async with FakeDiscord() as discord:
        yield discord
        discord.check_contract()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(fake, tmp_path_factory):
    """Greedy personas with short replies: what they write can be foretold."""
    folder = tmp_path_factory.mktemp("discord")
    settings = {"dir": personas_at(folder / "personas", 0), "max_new_tokens": "16"}
    fake.add_guild("harbour").add_channel("general")
    async with serving_discord(fake, folder / "data", **settings) as running:
        yield running


@pytest.fixture(scope="module")
def guild(fake, server):
    return next(iter(fake.world.guilds.values()))


@pytest.fixture(scope="module")
def ann(fake):
    return fake.add_person("ann")


async def test_the_banner_says_as_whom_it_is_there(fake, server):
    said = await until(lambda: [line for line in server.log.splitlines() if line.startswith("On Discord as ")])
    assert len(said) == 1
    assert fake.bot.name in said[0] and said[0].endswith("in 1 server.")


async def test_a_mention_is_answered_by_the_default_persona_s_weights(guild, ann, server):
    question = await ann.says(guild.add_channel("first"), QUESTIONS[0], mentions_bot=True)
    answer = await answer_to(question)
    (exchange,) = exchanges_of(server.data_dir, question)
    assert (exchange["status"], exchange["model"], exchange["source"]) == ("succeeded", "codebeard", "discord")
    assert [adapter["name"] for adapter in adapters_of(exchange)] == ["codebeard@1"]
    assert body(answer) == await alone(server, "codebeard", QUESTIONS[0])


async def test_persona_gives_the_channel_other_weights(guild, ann, server):
    channel = guild.add_channel("garden")
    assert (await choose_persona(ann, channel, "zen")).content
    question = await ann.says(channel, QUESTIONS[0], mentions_bot=True)
    answer = await answer_to(question)
    (exchange,) = exchanges_of(server.data_dir, question)
    assert [adapter["name"] for adapter in adapters_of(exchange)] == ["zen@1"]
    assert body(answer) == await alone(server, "zen", QUESTIONS[0])


async def test_a_thumb_down_is_in_the_database_and_goes_when_it_is_taken_back(guild, ann, server):
    question = await ann.says(guild.add_channel("judged"), QUESTIONS[1], mentions_bot=True)
    answer = await answer_to(question)
    (exchange,) = exchanges_of(server.data_dir, question)
    query = "SELECT user_id, label FROM feedback WHERE exchange_id = ?"
    await ann.reacts(answer, "👎")
    found = await until(lambda: rows(server.data_dir, query, exchange["id"]))
    assert [(row["user_id"], row["label"]) for row in found] == [(f"discord:{ann.id}", 0)]
    await ann.unreacts(answer, "👎")
    await until(lambda: not rows(server.data_dir, query, exchange["id"]))


async def test_thirty_channels_with_four_personas_at_once_are_each_answered_by_their_own_weights(
    fake, guild, ann, server, capsys, record_property
):
    pairs = list(product(PERSONAS, QUESTIONS))
    wanted = {pair: await alone(server, *pair) for pair in pairs}
    assert len(set(wanted.values())) == len(pairs)
    asked = [pairs[number % len(pairs)] for number in range(CHANNELS)]
    people = [fake.add_person(f"person{number}") for number in range(CHANNELS)]
    channels = [guild.add_channel(f"room{number}") for number in range(CHANNELS)]
    for channel, (slug, _) in zip(channels, asked, strict=True):
        await choose_persona(ann, channel, slug)
    questions = [
        await person.says(channel, question, mentions_bot=True)
        for person, channel, (_, question) in zip(people, channels, asked, strict=True)
    ]
    answers = await asyncio.gather(*(answer_to(question) for question in questions))
    waits_s = []
    for question, answer, pair in zip(questions, answers, asked, strict=True):
        (exchange,) = exchanges_of(server.data_dir, question)
        assert exchange["status"] == "succeeded" and exchange["seed"] is not None
        assert [adapter["name"] for adapter in adapters_of(exchange)] == [f"{pair[0]}@1"]
        assert body(answer) == wanted[pair]
        assert answer.channel.from_bot[-1] is answer  # nobody else's answer came after it
        waits_s.append(exchange["created_at"] - question.created_at.timestamp())
    p95_s = quantiles(waits_s, n=20)[-1]
    report = f"event to enqueue, {CHANNELS} at once: median {median(waits_s):.3f} s, p95 {p95_s:.3f} s"
    record_property("event_to_enqueue", report)
    with capsys.disabled():
        print(f"\n{report}")


def adapters_of(exchange):
    return json.loads(exchange["adapters"])


async def alone(server, slug, question):
    """The same persona's greedy answer while nobody else asks anything, through the API; it is asked for once."""
    if (slug, question) in ALONE:
        return ALONE[slug, question]
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        reply = await client.chat.completions.create(model=slug, messages=[{"role": "user", "content": question}])
    ALONE[slug, question] = reply.choices[0].message.content.strip()
    return ALONE[slug, question]
