from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bot.web.json_size import has_too_many_values

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a,[{"\\\\ü'),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(alphabet='a,[{"\\\\'), inner, max_size=5),
    max_leaves=30,
)


def values_in(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values_in, inner))


@given(ANY, st.integers(1, 40), st.booleans())
def test_no_text_with_too_many_values_passes(value, most, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii).encode()
    if values_in(value) > most:
        assert has_too_many_values(text, most)


@given(st.lists(st.text(alphabet='a,[{"\\\\'), max_size=20))
def test_what_stands_inside_strings_does_not_count(texts):
    assert not has_too_many_values(json.dumps(texts).encode(), 25)
