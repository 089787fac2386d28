from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.blends import MAX_PARTS, MAX_SPEC_CHARS, Blend, BlendPart, parse_blend
from core.errors import InvalidBlend

slugs = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True).filter(lambda slug: slug != "base")
weights = st.integers(1, 200).map(lambda hundredths: hundredths / 100)


def test_a_persona_a_strength_a_blend_and_the_base_are_all_read():
    assert parse_blend("codebeard") == Blend((BlendPart("codebeard", 1.0),))
    assert parse_blend("codebeard:0.5") == Blend((BlendPart("codebeard", 0.5),))
    assert parse_blend("base").is_base and parse_blend(" Base ").is_base
    assert parse_blend(" Zen : 0.3 + CODEBEARD:0.7 ").parts == (BlendPart("codebeard", 0.7), BlendPart("zen", 0.3))


@given(st.dictionaries(slugs, weights, min_size=1, max_size=MAX_PARTS))
def test_what_is_printed_reads_back_the_same(shares):
    blend = parse_blend("+".join(f"{slug}:{weight}" for slug, weight in shares.items()))
    assert {part.slug: part.weight for part in blend.parts} == shares
    assert parse_blend(str(blend)) == blend


@given(st.text(max_size=300))
def test_any_text_is_either_a_blend_or_one_clear_sentence(spec):
    try:
        blend = parse_blend(spec)
    except InvalidBlend as error:
        assert str(error).endswith((".", '".')) and "\n" not in str(error).replace(spec.strip(), "")
    else:
        assert len(blend.parts) <= MAX_PARTS and all(0 < part.weight <= 2 for part in blend.parts)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("", "is not a persona or blend"),
        ("codebeard:", "a number above 0"),
        ("codebeard:nan", "a number above 0"),
        ("codebeard:inf", "a number above 0"),
        ("codebeard:0", "a number above 0"),
        ("codebeard:-1", "a number above 0"),
        ("codebeard:x+zen", "a number above 0"),
        ("codebeard++zen", "is not a persona or blend"),
        ("zen+zen", "twice"),
        ("base+zen", "blends the base model"),
        ("a+b+c+d+e", "at most 4"),
        ("../../etc/passwd", "is not a persona or blend"),
        ("x" * (MAX_SPEC_CHARS + 1), "at most 200"),
    ],
)
def test_a_malformed_blend_is_refused_with_its_reason(spec, complaint):
    with pytest.raises(InvalidBlend, match=complaint):
        parse_blend(spec)
