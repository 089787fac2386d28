"""What API clients say of replies beside a thumb: another answer, which one is better, what it should have been."""

from __future__ import annotations

import openai
import pytest
from sqlalchemy import select

from core.store import data_rights
from core.store.corrections import MAX_CHARS
from core.store.models import Correction, Preference
from tests.running.serving import LiveServer

HELLO = [{"role": "user", "content": "What is a stack?"}]


async def ask(server: LiveServer, **body) -> str:
    async with server.client() as client:
        extra = {name: body.pop(name) for name in ("variant_of",) if name in body}
        asked = {"model": "zen", "messages": HELLO, "user": "ann"} | body
        return (await client.chat.completions.create(**asked, extra_body=extra)).id


async def say(server: LiveServer, completion_id: str, **said) -> dict:
    async with server.client() as client:
        body = {"completion_id": completion_id, "user": "ann", **said}
        return await client.post("/feedback", body=body, cast_to=dict[str, object])


async def rows(server: LiveServer, table) -> list:
    async with server.service.store.read() as session:
        return list(await session.scalars(select(table)))


async def test_a_variant_is_another_answer_in_the_same_conversation_and_not_greedy(live_server):
    first = await ask(live_server, temperature=0)
    second = await ask(live_server, variant_of=first)
    third = await ask(live_server, variant_of=second, temperature=0.3)
    former, *others = [await live_server.exchange(one) for one in (first, second, third)]
    assert former.variant_of is None
    assert {one.variant_of for one in others} == {first}
    assert {one.conversation_id for one in others} == {former.conversation_id}
    assert [one.sampling["temperature"] for one in (former, *others)] == [0, 0.8, 0.3]


async def test_a_response_can_have_a_variant_too(live_server):
    async with live_server.client() as client:
        first = await client.responses.create(model="zen", input="hello", user="ann")
        extra = {"variant_of": first.id}
        second = await client.responses.create(model="zen", input="hello", user="ann", extra_body=extra)
        assert (await say(live_server, second.id, preferred=True))["preferred"] is True
    [pair] = await rows(live_server, Preference)
    assert (pair.chosen_id[-8:], pair.rejected_id[-8:]) == (second.id[-8:], first.id[-8:])


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"variant_of": "chatcmpl-none"}, "chatcmpl-none"),
        ({"user": "bob"}, "this user has no reply"),
        ({"model": "codebeard"}, "zen wrote that reply, codebeard is asked now"),
        ({"messages": [{"role": "user", "content": "And a heap?"}]}, "other messages"),
    ],
)
async def test_a_variant_of_what_was_not_asked_is_refused(live_server, changed, part):
    first = await ask(live_server)
    with pytest.raises(openai.BadRequestError, match=part) as refused:
        await ask(live_server, **{"variant_of": first, **changed})
    assert refused.value.param == "variant_of"
    assert len(await live_server.exchanges()) == 1


async def test_no_variant_is_written_of_a_reply_whose_words_were_erased(live_server):
    first = await ask(live_server)
    async with live_server.service.store.write() as session:
        await data_rights.purge(session, before=2**40)
    with pytest.raises(openai.BadRequestError, match="not kept any more"):
        await ask(live_server, variant_of=first)


async def test_thumb_better_answer_and_choice_are_one_body_and_each_can_come_alone(live_server):
    first = await ask(live_server)
    second = await ask(live_server, variant_of=first)
    said = {"label": False, "better_answer": " A pile of plates. ", "preferred": True}
    assert await say(live_server, second, **said) == {"object": "feedback", "completion_id": second, **said}
    [better] = await rows(live_server, Correction)
    [pair] = await rows(live_server, Preference)
    assert (better.exchange_id, better.user_id, better.text) == (second, "api:ann", "A pile of plates.")
    assert (pair.chosen_id, pair.rejected_id, pair.user_id) == (second, first, "api:ann")
    assert {row.source for row in (better, pair)} == {"api"}

    await say(live_server, second, better_answer="A pile.")
    await say(live_server, first, preferred=True)
    await say(live_server, first, preferred=None, label=True)
    assert [row.text for row in await rows(live_server, Correction)] == ["A pile."]
    assert [(row.chosen_id, row.rejected_id) for row in await rows(live_server, Preference)] == [(first, second)]
    assert {row.exchange_id: row.label for row in await live_server.thumbs()} == {first: True, second: False}
    await say(live_server, second, preferred=False)
    assert await rows(live_server, Preference) == []


async def test_where_one_part_is_refused_nothing_is_kept(live_server):
    alone = await ask(live_server)
    with pytest.raises(openai.BadRequestError, match="no other finished answer"):
        await say(live_server, alone, label=True, better_answer="A pile.", preferred=True)
    assert await live_server.thumbs() == []
    assert await rows(live_server, Correction) == []


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ({}, "nothing is said of the reply"),
        ({"better_answer": None, "preferred": None}, "nothing is said of the reply"),
        ({"better_answer": "  "}, "The better answer is empty"),
        ({"better_answer": "nul \x00"}, "NUL character at position 4"),
        ({"better_answer": "x" * (MAX_CHARS + 1)}, f"at most {MAX_CHARS}"),
        ({"better_answer": 5}, "better_answer: "),
        ({"preferred": 1}, "preferred: "),
    ],
)
async def test_what_cannot_be_kept_is_refused_in_one_sentence(live_server, said, part):
    reply = await ask(live_server)
    with pytest.raises(openai.BadRequestError, match=part):
        await say(live_server, reply, **said)
    assert await rows(live_server, Correction) == []


async def test_a_better_answer_to_what_was_never_said_is_refused(live_server):
    with pytest.raises(openai.NotFoundError, match="chatcmpl-none"):
        await say(live_server, "chatcmpl-none", better_answer="A pile.")
    with pytest.raises(openai.NotFoundError, match="chatcmpl-none"):
        await say(live_server, "chatcmpl-none", preferred=False)
