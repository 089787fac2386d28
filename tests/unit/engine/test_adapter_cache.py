from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.engine.adapter_cache import AdapterCache
from core.generation import AdapterRef


def ref(name):
    return AdapterRef(f"{name}@1", name)


A, B, C, D = map(ref, "abcd")


def places(cache):
    return {status.ref: status.place for status in cache.statuses()}


def use(cache, *refs):
    """Acquire and release; returns the rows."""
    rows = cache.acquire(refs)
    cache.release(refs)
    return rows


def test_the_least_recently_used_adapter_makes_room():
    cache = AdapterCache(rows=2, host=4)
    use(cache, A)
    use(cache, B)
    use(cache, A)
    use(cache, C)
    assert places(cache) == {A: "device", B: "disk", C: "device"}


def test_an_adapter_in_use_never_moves():
    cache = AdapterCache(rows=2, host=4)
    rows = cache.acquire([A])
    use(cache, B)
    use(cache, C)
    assert cache.acquire([A]) == rows
    assert places(cache)[B] == "disk"


def test_a_blend_gets_all_its_rows_or_none():
    cache = AdapterCache(rows=2, host=4)
    cache.acquire([A])
    assert cache.acquire([B, C]) is None
    assert cache.acquire([A, B]) is not None
    cache.release([A])
    cache.release([A, B])
    assert set(cache.acquire([B, C])) == {B, C}


def test_a_blend_does_not_push_out_its_own_parts():
    cache = AdapterCache(rows=2, host=4)
    rows = use(cache, A)
    use(cache, B)
    assert cache.acquire([A, C])[A] == rows[A]


def test_a_pinned_adapter_stays_while_another_can_go():
    cache = AdapterCache(rows=2, host=4)
    use(cache, A)
    cache.pin(A)
    use(cache, B)
    use(cache, C)
    assert places(cache) == {A: "device", B: "disk", C: "device"}


def test_pins_never_block_a_reply():
    cache = AdapterCache(rows=1, host=4)
    use(cache, A)
    cache.pin(A)
    assert use(cache, B) == {B: 0}


def test_a_retired_adapter_is_forgotten_after_its_last_reply():
    cache = AdapterCache(rows=2, host=4)
    cache.acquire([A])
    cache.retire(A.name)
    assert A in places(cache)
    cache.release([A])
    assert A not in places(cache)


def test_a_retired_adapter_comes_back_when_it_is_asked_for():
    cache = AdapterCache(rows=2, host=4)
    cache.acquire([A])
    cache.retire(A.name)
    cache.acquire([A])
    cache.release([A])
    cache.release([A])
    assert places(cache) == {A: "device"}


def test_retiring_an_unknown_name_changes_nothing():
    cache = AdapterCache(rows=2, host=4)
    use(cache, A)
    cache.retire("nobody@1")
    assert places(cache) == {A: "device"}


def test_host_copies_are_bounded_and_the_oldest_goes():
    cache = AdapterCache(rows=1, host=2)
    assert cache.keep_on_host(A) == []
    assert cache.keep_on_host(B) == []
    cache.keep_on_host(A)
    assert cache.keep_on_host(C) == [B]
    assert places(cache) == {A: "host", B: "disk", C: "host"}


def test_no_host_memory_means_no_copies():
    assert AdapterCache(rows=1, host=0).keep_on_host(A) == [A]


class CacheMachine(RuleBasedStateMachine):
    """Any order of calls keeps rows exclusive, holds still, and grants whatever fits."""

    def __init__(self):
        super().__init__()
        self.cache = AdapterCache(rows=3, host=2)
        self.held = []

    @rule(refs=st.sets(st.sampled_from([A, B, C, D]), min_size=1, max_size=3))
    def acquire(self, refs):
        busy = {ref for holding, _ in self.held for ref in holding}
        rows = self.cache.acquire(refs)
        assert (rows is not None) == (len(busy | refs) <= 3)
        if rows is not None:
            assert len(set(rows.values())) == len(refs)
            self.held.append((refs, rows))

    @rule(data=st.data())
    def release(self, data):
        if self.held:
            refs, _ = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            self.cache.release(refs)

    @rule(ref=st.sampled_from([A, B, C, D]))
    def pin(self, ref):
        self.cache.pin(ref)

    @rule(ref=st.sampled_from([A, B, C, D]))
    def retire(self, ref):
        self.cache.retire(ref.name)

    @rule(ref=st.sampled_from([A, B, C, D]))
    def keep_on_host(self, ref):
        self.cache.keep_on_host(ref)

    @invariant()
    def holds_stay_in_their_rows(self):
        rows = {}
        for refs, held in self.held:
            for ref in refs:
                assert rows.setdefault(held[ref], ref) == ref
        in_use = {status.ref: status.in_use for status in self.cache.statuses()}
        for refs, _ in self.held:
            assert all(in_use[ref] >= 1 for ref in refs)

    @invariant()
    def places_are_bounded(self):
        statuses = self.cache.statuses()
        assert sum(status.place == "device" for status in statuses) <= 3


TestCacheMachine = CacheMachine.TestCase
