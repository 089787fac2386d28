from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.scheduler import MAX_OVERTAKES, Scheduler, Sequence

PIRATE = (("pirate", 1.0),)
ZEN = (("zen", 1.0),)


def sequence(name, tokens=(1, 2, 3), *, weights=PIRATE, conversation=None, new=4):
    return Sequence(name, conversation or name, list(tokens), len(tokens) + new, weights)


def admit_all(scheduler):
    return scheduler.admit(lambda _: True)


def step(scheduler):
    """One step as the loop does it; every finished chunk gets token 7. Returns {id: tokens processed}."""
    chunks = scheduler.next_chunks()
    done = [chunk.sequence for chunk in chunks if chunk.is_last]
    processed = {chunk.sequence.request_id: chunk.count for chunk in chunks}
    scheduler.settle(chunks)
    for each in done:
        each.tokens.append(7)
        if each.is_full:
            scheduler.remove(each)
    return processed


def run_until_idle(scheduler):
    while scheduler.has_work:
        admit_all(scheduler)
        step(scheduler)


def test_prompts_of_several_replies_share_the_budget_of_a_step():
    scheduler = Scheduler(4, prefill_chunk_tokens=10)
    for name, size in (("a", 4), ("b", 4), ("c", 4)):
        scheduler.add(sequence(name, range(size)))
    admit_all(scheduler)
    assert step(scheduler) == {"a": 4, "b": 4, "c": 2}


def test_a_long_prompt_does_not_stall_a_reply_that_is_being_written():
    scheduler = Scheduler(2, prefill_chunk_tokens=10)
    scheduler.add(sequence("short", [1], new=50))
    admit_all(scheduler)
    step(scheduler)
    scheduler.add(sequence("long", range(35)))
    admit_all(scheduler)
    assert [step(scheduler) for _ in range(4)] == [
        {"short": 1, "long": 10},
        {"short": 1, "long": 10},
        {"short": 1, "long": 10},
        {"short": 1, "long": 5},
    ]


def test_a_very_long_prompt_takes_what_the_steps_of_others_have_room_for():
    scheduler = Scheduler(3, prefill_chunk_tokens=256)
    scheduler.add(sequence("short", range(50), new=50))
    admit_all(scheduler)
    for seconds in (0.05, 0.01):  # a prompt's tokens cost 1 ms each, a step of decoding 10 ms
        scheduler.note(scheduler.next_chunks(), seconds)
        step(scheduler)
    scheduler.add(sequence("long", range(2_000)))
    scheduler.add(sequence("medium", range(500)))
    admit_all(scheduler)
    assert step(scheduler) == {"short": 1, "long": 10, "medium": 246}


def test_a_reply_may_prefill_and_be_written_in_one_go_when_it_is_alone():
    scheduler = Scheduler(1, prefill_chunk_tokens=100)
    scheduler.add(sequence("only", range(60), new=2))
    admit_all(scheduler)
    assert [step(scheduler), step(scheduler)] == [{"only": 60}, {"only": 1}]
    assert not scheduler.has_work


def test_the_next_turn_reuses_what_the_slot_holds():
    scheduler = Scheduler(2, 100)
    first = sequence("turn 1", [1, 2, 3], conversation="channel", new=2)
    scheduler.add(first)
    run_until_idle(scheduler)
    second = sequence("turn 2", [1, 2, 3, 7, 7, 9], conversation="channel")
    scheduler.add(second)
    admit_all(scheduler)
    assert second.cached_tokens == 4  # the last token written was never processed
    assert step(scheduler) == {"turn 2": 2}


def test_a_repeated_prompt_still_processes_its_last_token():
    scheduler = Scheduler(1, 100)
    scheduler.add(sequence("once", [1, 2, 3], conversation="channel"))
    run_until_idle(scheduler)
    again = sequence("again", [1, 2, 3], conversation="channel")
    scheduler.add(again)
    admit_all(scheduler)
    assert again.cached_tokens == 2


def test_other_weights_never_reuse_a_prefix():
    scheduler = Scheduler(1, 100)
    scheduler.add(sequence("pirate", [1, 2, 3], conversation="channel"))
    run_until_idle(scheduler)
    for weights in (ZEN, (), (("pirate", 0.5),), (("pirate", 1.0), ("zen", 0.1))):
        other = sequence("other", [1, 2, 3, 4], conversation="channel", weights=weights)
        scheduler.add(other)
        admit_all(scheduler)
        assert other.cached_tokens == 0
        scheduler.remove(other)


def test_a_system_prompt_is_copied_from_another_conversation_with_the_same_weights():
    system = list(range(100, 120))
    scheduler = Scheduler(4, 100)
    scheduler.add(first := sequence("first", [*system, 1]))
    admit_all(scheduler)
    step(scheduler)
    for weights, reused in ((PIRATE, 20), (ZEN, 0), ((("pirate", 0.5),), 0)):
        scheduler.add(other := sequence("other", [*system, 2, 3], weights=weights))
        admit_all(scheduler)
        assert (other.cached_tokens, other.copy_from) == (reused, first.slot if reused else None)
        scheduler.remove(other)


def test_nothing_is_copied_that_no_token_has_proven_yet():
    system = list(range(100, 120))
    scheduler = Scheduler(3, 10)
    scheduler.add(sequence("first", [*system, 1]))
    admit_all(scheduler)
    step(scheduler)
    scheduler.add(second := sequence("second", [*system, 2]))
    admit_all(scheduler)
    assert (second.cached_tokens, second.copy_from) == (0, None)


def test_the_slot_that_was_idle_longest_is_taken_over():
    scheduler = Scheduler(3, 100)
    slots = {}
    for name in "abc":
        scheduler.add(each := sequence(name))
        admit_all(scheduler)
        slots[name] = each.slot
        run_until_idle(scheduler)
    scheduler.add(again := sequence("a2", conversation="a"))
    admit_all(scheduler)
    assert again.slot == slots["a"]
    run_until_idle(scheduler)
    scheduler.add(newcomer := sequence("d"))
    admit_all(scheduler)
    assert newcomer.slot == slots["b"]


def test_a_slot_without_a_kept_prefix_starts_clean():
    scheduler = Scheduler(1, 100)
    scheduler.add(broken := sequence("broken", [1, 2, 3], conversation="channel"))
    admit_all(scheduler)
    step(scheduler)
    scheduler.remove(broken, keep_prefix=False)
    scheduler.add(after := sequence("after", [1, 2, 3], conversation="channel"))
    admit_all(scheduler)
    assert after.cached_tokens == 0


def test_without_resuming_prompts_are_whole_and_nothing_is_kept():
    scheduler = Scheduler(1, 10, can_resume=False)
    scheduler.add(sequence("long", range(30), conversation="channel", new=1))
    admit_all(scheduler)
    assert step(scheduler) == {"long": 30}
    scheduler.add(after := sequence("after", range(30), conversation="channel"))
    admit_all(scheduler)
    assert after.cached_tokens == 0


def test_a_blocked_reply_is_overtaken_only_so_often():
    scheduler = Scheduler(1, 100)
    scheduler.add(blocked := sequence("blocked", weights=ZEN))
    overtaken = 0
    for number in range(MAX_OVERTAKES + 3):
        scheduler.add(other := sequence(f"other {number}"))
        scheduler.admit(lambda each: each.weights == PIRATE)
        overtaken += other.is_running
        scheduler.remove(other)
    assert overtaken == MAX_OVERTAKES
    assert scheduler.admit(lambda _: True) == [blocked]


def test_forgetting_drops_what_runs_and_keeps_what_waits():
    scheduler = Scheduler(1, 100)
    scheduler.add(running := sequence("running", conversation="channel"))
    admit_all(scheduler)
    step(scheduler)
    scheduler.add(waiting := sequence("waiting", conversation="channel"))
    assert scheduler.forget() == [running]
    assert scheduler.waiting == [waiting]
    admit_all(scheduler)
    assert waiting.cached_tokens == 0


def test_removing_twice_is_harmless():
    scheduler = Scheduler(1, 100)
    scheduler.add(each := sequence("each"))
    scheduler.remove(each)
    scheduler.remove(each)
    assert not scheduler.has_work


arrivals = st.tuples(
    st.just("arrive"),
    st.integers(0, 2),  # conversation
    st.sampled_from([PIRATE, ZEN, ()]),
    st.sampled_from([[], [2] * 9]).flatmap(  # prompt, perhaps with a system prompt that others have too
        lambda system: st.lists(st.integers(0, 2), min_size=1, max_size=12).map(lambda rest: system + rest)
    ),
    st.integers(1, 5),  # new tokens
)
actions = st.lists(arrivals | st.tuples(st.just("cancel"), st.integers(0, 30)) | st.just(("step",)), max_size=60)


class Checked:
    """A scheduler whose every step is checked against what the slots of a real cache would hold."""

    def __init__(self, slots, budget):
        self.scheduler = Scheduler(slots, budget)
        self.slots = slots
        self.budget = budget
        self.contents = {index: ((), []) for index in range(slots)}
        self.everyone = []
        self.cancelled = set()

    def arrive(self, conversation, weights, prompt, new):
        name = f"{len(self.everyone)}"
        each = sequence(name, prompt, weights=weights, conversation=f"{conversation}", new=new)
        self.everyone.append(each)
        self.scheduler.add(each)

    def cancel(self, number):
        if number < len(self.everyone):
            self.cancelled.add(self.everyone[number])
            self.scheduler.remove(self.everyone[number])

    def step(self):
        self.admit()
        chunks = self.scheduler.next_chunks()
        self.check(chunks)
        for chunk in chunks:
            self.contents[chunk.sequence.slot][1].extend(chunk.tokens)
        done = [chunk.sequence for chunk in chunks if chunk.is_last]
        self.scheduler.settle(chunks)
        for each in done:
            each.tokens.append(0)
            if each.is_full:
                self.scheduler.remove(each)

    def admit(self):
        for each in admit_all(self.scheduler):
            weights, held = self.contents[each.slot if each.copy_from is None else each.copy_from]
            reused = each.cached_tokens
            assert reused < each.prompt_tokens
            assert reused == 0 or (weights == each.weights and held[:reused] == each.tokens[:reused])
            self.contents[each.slot] = (each.weights, each.tokens[:reused])

    def check(self, chunks):
        running = self.scheduler.running
        assert len({each.slot for each in running}) == len(running) <= self.slots
        assert bool(chunks) == bool(running)
        assert sum(chunk.count for chunk in chunks if chunk.sequence.remaining > 1) <= self.budget
        assert {each for each in running if each.remaining == 1} <= {chunk.sequence for chunk in chunks}


@settings(max_examples=150)
@given(actions, st.integers(1, 3), st.integers(1, 8))
def test_slots_are_exclusive_prefixes_are_true_and_everybody_is_served(actions, slots, budget):
    checked = Checked(slots, budget)
    for name, *arguments in actions:
        getattr(checked, name)(*arguments)
    for _ in range(200 * len(actions) + 1):
        if checked.scheduler.has_work:
            checked.step()
    assert not checked.scheduler.has_work
    assert all(each.is_full for each in checked.everyone if each not in checked.cancelled)
