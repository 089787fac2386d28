"""What is remembered of conversations, and forgotten again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.conversation import Transcript
from bot.chat.memory import Memory
from core.messages import Quoted

ONCE = ["x1", "x2", "x3"]
KEYS, PEOPLE = ["c/1", "c/2", "c/3"], ["ann", "ben", ""]
quotes = st.lists(st.builds(Quoted, st.sampled_from(KEYS), st.sampled_from(PEOPLE)), max_size=4).map(tuple)
remembering = st.tuples(st.sampled_from(ONCE), quotes)
forgetting = st.sampled_from([*ONCE, *KEYS, *PEOPLE, "somebody else"])


@given(st.lists(remembering | forgetting, max_size=30))
def test_what_is_left_is_what_nothing_forgotten_since_has_a_part_in(steps: list[Any]):
    found, left = Memory(), {}
    for step in steps:
        if isinstance(step, tuple):
            exchange_id, quoted = step
            found.remember(exchange_id, Transcript("chain", quotes=quoted), "words")
            left[exchange_id] = quoted
        else:
            found.forget(step)
            left = {
                exchange_id: quoted
                for exchange_id, quoted in left.items()
                if step != exchange_id and not any(step in (quote.message_id, quote.user_id) for quote in quoted)
            }
    assert {exchange_id: kept.transcript.quotes for exchange_id, kept in found._remembered.items()} == left
    assert {part for part, _ in found._exchanges_of.items()} == {
        part for quoted in left.values() for quote in quoted for part in (quote.message_id, quote.user_id)
    }


def test_of_more_than_it_holds_the_oldest_goes_with_all_that_led_to_it():
    found = Memory(max_exchanges=2)
    for number in range(3):
        found.remember(f"x{number}", Transcript("chain", quotes=(Quoted(f"c/{number}", "ann"),)), "words")
    assert list(found._remembered) == ["x1", "x2"]
    assert set(found._exchanges_of) == {"c/1", "c/2", "ann"}
