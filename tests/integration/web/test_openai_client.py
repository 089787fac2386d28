"""The stock OpenAI client against a real server."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from bot.chat.judging import record_feedback
from bot.web import event_stream
from core.engine.echo_engine import EchoEngine
from tests.running.serving import echo_server, until_one_waits

HELLO = [{"role": "user", "content": "good morning to you"}]


async def test_a_reply_comes_whole_with_its_usage(live_server):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(model="codebeard", messages=HELLO)

    assert reply.choices[0].message.content == "[codebeard@1] good morning to you"
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "codebeard"
    assert reply.usage.completion_tokens == 5
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 5
    assert reply.usage.prompt_tokens_details.cached_tokens == 0


async def test_the_completions_id_names_the_exchange(live_server):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(model="codebeard", messages=HELLO, seed=7, user="ann")

    exchange = await live_server.exchange(reply.id)
    assert (exchange.source, exchange.user_id, exchange.status, exchange.seed) == ("api", "api:ann", "succeeded", 7)
    assert exchange.reply == "[codebeard@1] good morning to you"
    assert [adapter["name"] for adapter in exchange.adapters] == ["codebeard@1"]


async def test_a_stream_begins_with_the_role_and_ends_with_reason_and_usage(live_server):
    async with live_server.client() as client:
        stream = await client.chat.completions.create(
            model="zen", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "[zen@1] good morning to you"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1] if chunk.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_a_stream_carries_no_usage_unless_asked_for(live_server):
    async with live_server.client() as client:
        stream = await client.chat.completions.create(model="zen", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_a_stream_passes_words_on_as_they_are_written(live_server):
    gate = live_server.echo.gate
    gate.close()
    async with live_server.client() as client:
        stream = await client.chat.completions.create(model="base", messages=HELLO, stream=True)
        gate.let_through(1)
        texts = []
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content)
            if chunk.choices[0].delta.content == "good ":
                assert (await live_server.exchange(chunk.id)).status == "running"
                gate.open()
    assert texts == ["", "good ", "morning ", "to ", "you", None]


async def test_a_reply_that_reaches_max_tokens_ends_with_length(live_server):
    async with live_server.client() as client:
        old = await client.chat.completions.create(model="base", messages=HELLO, max_tokens=2)
        new = await client.chat.completions.create(model="base", messages=HELLO, max_completion_tokens=3)

    assert (old.choices[0].message.content, old.choices[0].finish_reason) == ("good morning ", "length")
    assert new.choices[0].message.content == "good morning to "


async def test_a_stop_string_may_come_alone_or_in_a_list(live_server):
    async with live_server.client() as client:
        alone = await client.chat.completions.create(model="base", messages=HELLO, stop="to")
        listed = await client.chat.completions.create(model="base", messages=HELLO, stop=["never", "morning"])

    assert alone.choices[0].message.content == "good morning "
    assert listed.choices[0].message.content == "good "


async def test_eight_at_once_over_personas_base_and_blend_each_get_their_own_reply(live_server):
    models = ["codebeard", "zen", "base", "codebeard:0.7+zen:0.3"] * 2
    tags = ["[codebeard@1] ", "[zen@1] ", "", "[codebeard@1:0.7+zen@1:0.3] "] * 2
    async with live_server.client() as client:
        replies = await asyncio.gather(
            *(
                client.chat.completions.create(model=model, messages=[{"role": "user", "content": f"number {i}"}])
                for i, model in enumerate(models)
            )
        )
    assert [r.choices[0].message.content for r in replies] == [f"{tag}number {i}" for i, tag in enumerate(tags)]


async def test_developer_messages_text_parts_and_unknown_fields_are_understood(live_server):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(
            model="base",
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "parts"}]},
            ],
            frequency_penalty=0,
            n=1,
            store=True,
            extra_body={"top_k": 5, "repetition_penalty": 1.1, "something_new": {"a": 1}},
        )
    assert reply.choices[0].message.content == "two\nparts"
    exchange = await live_server.exchange(reply.id)
    assert exchange.prompt[0] == {"role": "system", "content": "Be brief."}
    assert (exchange.sampling["top_k"], exchange.sampling["repetition_penalty"]) == (5, 1.1)


async def test_models_are_listed_with_their_adapter_versions(live_server):
    async with live_server.client() as client:
        models = {model.id: model for model in (await client.models.list()).data}
        blend = await client.models.retrieve("zen:0.3+codebeard:0.7")

    assert set(models) == {"base", "codebeard", "zen"}
    assert models["zen"].owned_by
    assert (models["zen"].adapter_version, models["zen"].base_model) == (1, "smollm2")
    assert models["zen"].description == "The voice of Master Zen."
    assert (models["base"].adapter_version, models["base"].adapters) == (None, [])
    assert (blend.id, blend.adapters) == ("codebeard:0.7+zen:0.3", ["codebeard@1", "zen@1"])


async def test_feedback_by_completion_id_is_kept_changed_and_taken_back(live_server):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(model="zen", messages=HELLO)
        for label in (True, False, None):
            body = {"completion_id": reply.id, "label": label, "user": "ann"}
            assert (await client.post("/feedback", body=body, cast_to=dict[str, object]))["label"] is label
            assert [thumb.label for thumb in await live_server.thumbs()] == ([] if label is None else [label])


async def test_a_client_that_names_a_person_of_another_platform_leaves_their_thumb_alone(live_server):
    async with live_server.client() as client:
        reply = await client.chat.completions.create(model="zen", messages=HELLO)
        person = {"exchange_id": reply.id, "user_id": "discord:7", "source": "discord"}
        await record_feedback(live_server.service.store, **person, label=True)
        body = {"completion_id": reply.id, "label": False, "user": "discord:7"}
        await client.post("/feedback", body=body, cast_to=dict[str, object])
    thumbs = {(thumb.user_id, thumb.label) for thumb in await live_server.thumbs()}
    assert thumbs == {("discord:7", True), ("api:discord:7", False)}


async def test_unknown_personas_and_bad_blends_are_refused_by_name(live_server):
    async with live_server.client() as client:
        with pytest.raises(openai.NotFoundError, match="codebeard, zen") as missing:
            await client.chat.completions.create(model="nobody", messages=HELLO)
        with pytest.raises(openai.BadRequestError, match="zen the weight"):
            await client.chat.completions.create(model="zen:lots", messages=HELLO)
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nobody")
    assert missing.value.code == "model_not_found"


async def test_a_full_queue_answers_429_with_a_time_to_retry(tmp_path):
    engine = EchoEngine(slots=1)
    async with echo_server(tmp_path, engine=engine, queue_size=1) as server, server.client() as client:
        engine.gate.close()
        running = asyncio.create_task(client.chat.completions.create(model="base", messages=HELLO))
        await engine.gate.wait_until_held()
        waiting = asyncio.create_task(client.chat.completions.create(model="base", messages=HELLO))
        await until_one_waits(server.service.queue)
        with pytest.raises(openai.RateLimitError) as full:
            await client.chat.completions.create(model="base", messages=HELLO)
        engine.gate.open()
        await asyncio.gather(running, waiting)

    assert int(full.value.response.headers["retry-after"]) > 0


async def test_an_engine_error_is_a_sentence_and_the_next_reply_comes(tmp_path):
    async with echo_server(tmp_path, engine=EchoEngine(fails_on="boom")) as server, server.client() as client:
        broken = [{"role": "user", "content": "boom"}]
        with pytest.raises(openai.InternalServerError, match="cannot say"):
            await client.chat.completions.create(model="base", messages=broken)
        with pytest.raises(openai.InternalServerError, match="cannot say"):
            await client.chat.completions.create(model="base", messages=broken, stream=True)
        late = [{"role": "user", "content": "at first boom"}]
        stream = await client.chat.completions.create(model="base", messages=late, stream=True)
        with pytest.raises(openai.APIError, match="cannot say"):
            [chunk async for chunk in stream]
        whole = await client.chat.completions.create(model="base", messages=HELLO)
    assert whole.choices[0].message.content == "good morning to you"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_message_beyond_the_context_is_the_clients_error(live_server, is_streamed):
    long = [{"role": "user", "content": "word " * 1000}]
    async with live_server.client() as client:
        with pytest.raises(openai.BadRequestError, match="too long"):
            await client.chat.completions.create(model="base", messages=long, stream=is_streamed)


async def test_a_stream_that_waits_is_kept_alive_and_its_error_is_an_event(tmp_path, monkeypatch):
    monkeypatch.setattr(event_stream, "BEAT_S", 0.01)
    async with echo_server(tmp_path, engine=EchoEngine(fails_on="boom")) as server, server.http() as http:
        server.echo.gate.close()
        body = {"model": "base", "messages": [{"role": "user", "content": "boom"}], "stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            assert response.status_code == 200
            assert await anext(lines) == ": waiting"
            server.echo.gate.open()
            events = [line async for line in lines if line.startswith("data: ")]
    assert "cannot say" in json.loads(events[0].removeprefix("data: "))["error"]["message"]
    assert events[1:] == ["data: [DONE]"]


async def test_the_stock_client_waits_for_a_stream_whose_first_word_is_late(live_server, monkeypatch):
    monkeypatch.setattr(event_stream, "BEAT_S", 0.01)
    live_server.echo.gate.close()
    async with live_server.client() as client:
        stream = await client.chat.completions.create(model="base", messages=HELLO, stream=True)
        live_server.echo.gate.open()
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "good morning to you"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_client_that_leaves_cancels_its_reply(live_server, is_streamed):
    gate = live_server.echo.gate
    gate.close()
    body = {"model": "base", "messages": HELLO, "stream": is_streamed, "user": "leaver"}
    async with live_server.http() as http:
        asking = asyncio.create_task(http.post("/v1/chat/completions", json=body))
        await gate.wait_until_held()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert (await live_server.ended(user_id="api:leaver")).status == "cancelled"


async def test_people_who_ask_the_same_do_not_wait_for_each_other(live_server):
    gate = live_server.echo.gate
    gate.close()
    async with live_server.client() as client:
        asking = [asyncio.create_task(client.chat.completions.create(model="zen", messages=HELLO)) for _ in range(3)]
        await gate.wait_until_held(3)
        gate.open()
        replies = await asyncio.gather(*asking)
    conversations = {(await live_server.exchange(reply.id)).conversation_id for reply in replies}
    assert len(conversations) == 3


async def test_a_follow_up_goes_on_in_its_conversation(live_server):
    async with live_server.client() as client:
        first = await client.chat.completions.create(model="zen", messages=HELLO)
        said = [*HELLO, {"role": "assistant", "content": first.choices[0].message.content}]
        second = await client.chat.completions.create(
            model="zen", messages=[*said, {"role": "user", "content": "why?"}]
        )
        again = await client.chat.completions.create(model="zen", messages=[*said, {"role": "user", "content": "how?"}])
    ids = [(await live_server.exchange(reply.id)).conversation_id for reply in (first, second, again)]
    assert ids[0] == ids[1] != ids[2]


async def test_conversations_of_different_users_never_meet_and_their_names_may_be_long(live_server):
    ids = []
    async with live_server.client() as client:
        for user, name in (("a:b", "c"), ("a", "b:c"), ("u" * 256, "n" * 256)):
            reply = await client.chat.completions.create(
                model="zen", messages=HELLO, user=user, extra_body={"conversation": name}
            )
            ids.append((await live_server.exchange(reply.id)).conversation_id)
    assert len(set(ids)) == 3


async def test_a_conversation_may_be_named_by_header_or_field(live_server):
    async with live_server.client() as client:
        by_header = await client.chat.completions.create(
            model="zen", messages=HELLO, extra_headers={"x-conversation-id": "tea"}
        )
        by_field = await client.chat.completions.create(model="zen", messages=HELLO, extra_body={"conversation": "tea"})
    ids = {(await live_server.exchange(reply.id)).conversation_id for reply in (by_header, by_field)}
    assert len(ids) == 1
