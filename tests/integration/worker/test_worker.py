from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import asdict, replace

import pytest

from core.engine.echo_engine import EchoEngine
from core.generation import AdapterRef, EngineCapabilities, SamplingOverrides, SamplingParams, WeightedAdapter
from core.messages import ChatMessage, ReplyChunk, Usage
from core.queue.jobs import JobStatus
from core.worker import worker as worker_module
from tests.examples.queue import FrozenClock, collect, next_chunk
from tests.examples.workshop import open_workshop, text_of


@pytest.fixture
async def shop(tmp_path):
    async with open_workshop(tmp_path) as opened:
        yield opened


async def test_a_job_is_answered_and_its_exchange_says_how(shop):
    asked = await shop.ask("good morning all")
    *words, last = await shop.read(asked)
    row = await shop.row(asked)  # settled before the last chunk was published
    assert text_of(words) == "good morning all"
    assert last == ReplyChunk(finish_reason="stop", usage=Usage(4, 3))
    assert (row.status, row.reply, row.finish_reason, row.error) == ("succeeded", "good morning all", "stop", None)
    assert (row.prompt_tokens, row.completion_tokens) == (4, 3)
    assert row.started_at <= row.finished_at


async def test_chunks_stream_while_the_reply_is_written(shop):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two")
    chunks = shop.queue.updates(asked)
    assert await next_chunk(chunks) == ReplyChunk("one ")
    assert (await shop.row(asked)).status == JobStatus.RUNNING
    shop.engine.gate.open()
    assert text_of(await collect(chunks)) == "two"


async def test_as_many_jobs_run_at_once_as_the_engine_has_slots(shop):
    shop.engine.gate.close()
    asked = [await shop.ask("hi") for _ in range(3)]
    await shop.engine.gate.wait_until_held(2)
    assert await shop.queue.depth() == 1
    shop.engine.gate.open()
    for exchange_id in asked:
        assert text_of(await shop.read(exchange_id)) == "hi"


async def test_replies_of_one_conversation_are_written_one_after_another(shop):
    shop.engine.gate.close()
    first, second = [await shop.ask(text, conversation="c") for text in ("first", "second")]
    await shop.engine.gate.wait_until_held()
    assert await shop.queue.depth() == 1
    shop.engine.gate.let_through(1)
    assert text_of(await shop.read(first)) == "first"
    await shop.engine.gate.wait_until_held()
    shop.engine.gate.open()
    assert text_of(await shop.read(second)) == "second"


async def test_old_turns_are_dropped_so_that_half_of_the_context_is_left_for_a_long_reply(tmp_path):
    turns = [ChatMessage(role, "three words each") for role in ("user", "assistant") * 3]
    messages = (*turns, ChatMessage("user", "and now"))
    async with open_workshop(tmp_path, engine=EchoEngine(max_context_tokens=40)) as shop:
        usages = {}
        for max_new_tokens in (10, 1_000):
            sampling = SamplingOverrides(max_new_tokens=max_new_tokens, seed=1)
            asked = await shop.ask("", messages=messages, sampling=sampling, system_prompt="Be kind.")
            usages[max_new_tokens] = (await shop.read(asked))[-1].usage.prompt_tokens
    system, turn, now = 3, 4, 3
    assert usages == {10: system + 6 * turn + now, 1_000: system + 2 * turn + now}


async def test_what_a_job_asks_of_sampling_lies_over_the_models_defaults_and_the_ledger_holds_what_was_used(tmp_path):
    class NotingEngine(EchoEngine):
        default_sampling = SamplingParams(max_new_tokens=64, temperature=0.4, top_p=0.9)

        def submit(self, request):
            asked_for.append(request.sampling)
            return super().submit(request)

    asked_for = []
    async with open_workshop(tmp_path, engine=NotingEngine()) as shop:
        asked = await shop.ask("hi", sampling=SamplingOverrides(temperature=0.0, seed=5))
        await shop.read(asked)
        used = replace(NotingEngine.default_sampling, temperature=0.0, seed=5)
        assert asked_for == [used]
        assert (await shop.row(asked)).sampling == asdict(used) | {"stop": []}


async def test_the_queue_is_told_what_the_engine_is_before_its_first_job(shop):
    await shop.read(await shop.ask("hi"))
    facts = await shop.queue.facts()
    assert (facts.base_model, facts.slots, facts.max_context_tokens) == ("echo", 2, 256)
    assert (facts.default_sampling, facts.capabilities) == (shop.engine.default_sampling, EngineCapabilities())


async def test_what_the_engine_cannot_do_fails_with_a_sentence_where_nobody_knew_before(tmp_path):
    engine = EchoEngine(capabilities=EngineCapabilities(can_set_strength=False))
    half = WeightedAdapter(AdapterRef("zen@1", "ab" * 32), 0.5)
    async with open_workshop(tmp_path, engine=engine) as shop:
        asked = await shop.ask("hi", adapters=(half,))
        (last,) = await shop.read(asked)
        assert (last.finish_reason, last.error_status) == ("error", 400)
        assert "at full strength only" in last.error
        assert (await shop.row(asked)).status == JobStatus.FAILED


async def test_counting_a_long_conversation_stops_no_other_reply(tmp_path):
    class SlowCounter(EchoEngine):
        """Counts only once the event loop has run on."""

        def count_tokens(self, messages):
            if not has_run_on.is_set():
                loop.call_soon_threadsafe(has_run_on.set)
                assert has_run_on.wait(timeout=20)
            return super().count_tokens(messages)

    loop, has_run_on = asyncio.get_running_loop(), threading.Event()
    async with open_workshop(tmp_path, engine=SlowCounter()) as shop:
        assert text_of(await shop.read(await shop.ask("good morning"))) == "good morning"


async def test_a_reply_cancelled_while_its_tokens_are_counted_is_never_begun(tmp_path):
    class HeldCounter(EchoEngine):
        def count_tokens(self, messages):
            is_counting.set()
            assert may_end.wait(timeout=20)
            return super().count_tokens(messages)

        async def cancel(self, request_id):
            await super().cancel(request_id)
            may_end.set()

    is_counting, may_end = threading.Event(), threading.Event()
    async with open_workshop(tmp_path, engine=HeldCounter()) as shop:
        asked = await shop.ask("one two")
        await asyncio.to_thread(is_counting.wait)
        await shop.queue.cancel(asked)
        assert [chunk.finish_reason for chunk in await shop.read(asked)] == ["cancelled"]
        assert ((row := await shop.row(asked)).status, row.reply) == ("cancelled", "")


async def test_a_message_that_fits_nowhere_fails_with_a_sentence(shop):
    asked = await shop.ask("word " * 1_000)
    (last,) = await shop.read(asked)
    assert (last.finish_reason, last.error_status) == ("error", 400)
    assert "too long" in last.error
    row = await shop.row(asked)
    assert (row.status, row.error) == ("failed", last.error)


async def test_a_cancelled_running_job_keeps_what_was_written(shop):
    shop.engine.gate.close()
    shop.engine.gate.let_through(1)
    asked = await shop.ask("one two")
    await shop.engine.gate.wait_until_held()
    await shop.queue.cancel(asked)
    chunks = await shop.read(asked)
    assert chunks == [ReplyChunk("one "), ReplyChunk(finish_reason="cancelled", usage=Usage(3, 1))]
    row = await shop.row(asked)
    assert (row.status, row.reply, row.finish_reason) == ("cancelled", "one ", "cancelled")


async def test_a_job_cancelled_in_the_queue_is_settled_in_the_ledger(shop):
    shop.engine.gate.close()
    await shop.ask("running", conversation="c")
    asked = await shop.ask("waiting", conversation="c")
    await shop.engine.gate.wait_until_held()
    await shop.queue.cancel(asked)
    assert [chunk.finish_reason for chunk in await shop.read(asked)] == ["cancelled"]
    shop.engine.gate.open()
    await shop.drain()
    assert (await shop.row(asked)).status == JobStatus.CANCELLED


async def test_a_job_that_expired_in_the_queue_is_settled_in_the_ledger(shop):
    asked = await shop.ask("too late", timeout_s=-1.0)
    (last,) = await shop.read(asked)
    await shop.drain()
    row = await shop.row(asked)
    assert (row.status, row.finish_reason, row.error) == ("failed", "error", last.error)
    assert "deadline" in row.error


async def test_a_running_job_is_stopped_at_its_deadline(tmp_path):
    async with open_workshop(tmp_path, clock=FrozenClock()) as shop:  # the queue's, which lets nothing expire
        shop.engine.gate.close()
        shop.engine.gate.let_through(1)
        asked = await shop.ask("one two", timeout_s=0.2)
        *words, last = await shop.read(asked)
        row = await shop.row(asked)
        assert (row.status, row.reply, row.error) == ("failed", text_of(words), last.error)
        assert "not finished by its deadline" in last.error
        assert last.error_status == 504
        assert shop.engine.stats().running == 0


async def test_an_engine_error_fails_its_own_job_only(tmp_path):
    async with open_workshop(tmp_path, engine=EchoEngine(slots=2, fails_on="boom")) as shop:
        shop.engine.gate.close()
        bad, good = await shop.ask("boom"), await shop.ask("fine")
        await shop.engine.gate.wait_until_held(2)
        shop.engine.gate.open()
        (last,) = await shop.read(bad)
        assert (last.finish_reason, last.error) == ("error", (await shop.row(bad)).error)
        assert "boom" in last.error
        assert text_of(await shop.read(good)) == "fine"
        assert text_of(await shop.read(await shop.ask("later"))) == "later"
        assert shop.worker.is_healthy


async def test_a_bug_becomes_a_sentence_and_a_line_in_the_log(tmp_path, caplog):
    class BuggyEngine(EchoEngine):
        def count_tokens(self, messages):
            return 1 // 0

    async with open_workshop(tmp_path, engine=BuggyEngine()) as shop:
        (last,) = await shop.read(await shop.ask("hi"))
    assert "internal error" in last.error
    assert "ZeroDivisionError" in caplog.text


async def test_a_reply_that_ends_without_a_last_chunk_is_a_failure(tmp_path):
    class MumblingEngine(EchoEngine):
        async def submit(self, request):
            yield ReplyChunk("hm")

    async with open_workshop(tmp_path, engine=MumblingEngine()) as shop:
        asked = await shop.ask("hi")
        chunks = await shop.read(asked)
        assert [chunk.finish_reason for chunk in chunks] == [None, "error"]
        assert (await shop.row(asked)).status == JobStatus.FAILED


async def test_an_engine_deaf_to_cancel_is_cut_off(tmp_path, monkeypatch):
    class DeafEngine(EchoEngine):
        async def cancel(self, request_id):
            pass

    monkeypatch.setattr(worker_module, "STOP_GRACE_S", 0.01)
    async with open_workshop(tmp_path, engine=DeafEngine()) as shop:
        shop.engine.gate.close()
        asked = await shop.ask("one two")
        await shop.engine.gate.wait_until_held()
        await shop.queue.cancel(asked)
        assert await shop.read(asked) == [ReplyChunk(finish_reason="cancelled", usage=Usage())]
        assert (await shop.row(asked)).status == JobStatus.CANCELLED


async def test_an_engine_whose_cancel_breaks_is_cut_off_and_logged(tmp_path, monkeypatch, caplog):
    class ClumsyEngine(EchoEngine):
        async def cancel(self, request_id):
            if request_id in self._echoes:
                raise RuntimeError("clumsy")

    monkeypatch.setattr(worker_module, "STOP_GRACE_S", 0.01)
    async with open_workshop(tmp_path, engine=ClumsyEngine()) as shop:
        shop.engine.gate.close()
        asked = await shop.ask("one two")
        await shop.engine.gate.wait_until_held()
        await shop.queue.cancel(asked)
        assert [chunk.finish_reason for chunk in await shop.read(asked)] == ["cancelled"]
        shop.engine.gate.open()
        assert text_of(await shop.read(await shop.ask("next"))) == "next"
    assert "clumsy" in caplog.text


async def test_a_crashed_engine_makes_the_worker_unhealthy_and_fails_jobs_with_a_sentence(shop):
    shop.engine.gate.close()
    running = await shop.ask("running")
    await shop.engine.gate.wait_until_held()
    assert shop.worker.is_healthy
    shop.engine.crash()
    assert not shop.worker.is_healthy
    assert (await shop.read(running))[-1].error
    later = await shop.ask("later")
    (last,) = await shop.read(later)
    assert "engine has stopped" in last.error
    assert (await shop.row(later)).status == JobStatus.FAILED


async def test_a_reply_log_line_holds_no_text_of_people(shop, caplog):
    caplog.set_level(logging.INFO)
    asked = await shop.ask("a very private matter")
    await shop.read(asked)
    await shop.drain()
    assert asked in caplog.text
    assert "private" not in caplog.text
