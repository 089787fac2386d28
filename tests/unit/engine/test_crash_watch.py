"""Which replies a crash is blamed on, and when the engine is given up."""

from __future__ import annotations

from core.engine.crash_watch import CRASH_WINDOW_S, MAX_CRASHES, MAX_CRASHES_OF_A_REPLY, CrashWatch
from core.engine.scheduler import Scheduler, Sequence


def sequence(name, tokens=(1, 2, 3)):
    return Sequence(name, name, list(tokens), len(tokens) + 4)


def test_whoever_crashes_alone_after_a_crash_in_company_fails():
    watch, good, bad = CrashWatch(), sequence("good"), sequence("bad")
    assert watch.note([good, bad], 0.0) == []
    assert watch.note([bad], 0.0) == [bad]
    assert good.is_suspect


def test_a_reply_that_keeps_crashing_in_company_fails_in_the_end():
    watch, unlucky = CrashWatch(), sequence("unlucky")
    for _ in range(MAX_CRASHES_OF_A_REPLY - 1):
        assert watch.note([unlucky, sequence("another")], 0.0) == []
        unlucky.is_suspect = False  # alone it wrote a token
    assert watch.note([unlucky, sequence("another")], 0.0) == [unlucky]


def test_one_reply_that_crashes_twice_counts_once_against_the_engine():
    watch = CrashWatch()
    for _ in range(MAX_CRASHES - 1):
        bad = sequence("bad")
        watch.note([bad], 0.0)
        watch.note([bad], 0.0)
    assert not watch.is_hopeless(0.0)
    watch.note([sequence("last")], 0.0)
    assert watch.is_hopeless(CRASH_WINDOW_S)
    assert not watch.is_hopeless(CRASH_WINDOW_S + 1)


def test_suspects_are_processed_one_by_one_before_all_others():
    scheduler = Scheduler(3, prefill_chunk_tokens=2)
    names = [sequence(name) for name in ("first", "second", "third")]
    for each in names:
        scheduler.add(each)
    scheduler.admit(lambda _: True)
    names[1].is_suspect = names[2].is_suspect = True
    assert [chunk.sequence.request_id for chunk in scheduler.next_chunks()] == ["second"]
    names[1].is_suspect = False
    assert [chunk.sequence.request_id for chunk in scheduler.next_chunks()] == ["third"]
    names[2].is_suspect = False
    assert [chunk.sequence.request_id for chunk in scheduler.next_chunks()] == ["first"]


def test_dropped_replies_begin_again_before_those_that_wait_with_what_they_wrote():
    scheduler = Scheduler(2, prefill_chunk_tokens=10)
    for name in ("first", "second", "third"):
        scheduler.add(sequence(name))
    scheduler.admit(lambda _: True)
    scheduler.settle(scheduler.next_chunks())
    dropped = scheduler.forget()
    dropped[0].tokens.append(7)
    scheduler.requeue(dropped)
    assert [each.request_id for each in scheduler.waiting] == ["first", "second", "third"]
    scheduler.admit(lambda _: True)
    assert [(chunk.count, chunk.is_last) for chunk in scheduler.next_chunks()] == [(4, True), (3, True)]
