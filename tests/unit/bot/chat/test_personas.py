"""What people write to choose a persona."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.chat.personas import choose, complete_blend, describe, parse_strength, search
from core.errors import InvalidBlend, NotFound
from core.personas import Persona, PersonaFile


def persona(slug: str, name: str, description: str) -> Persona:
    return Persona(slug, Path(slug), PersonaFile(name=name, description=description, emoji="🎭", greeting="hi"), "")


PERSONAS = {
    "codebeard": persona("codebeard", "Captain Codebeard", "A pirate with a zeal for zen gardens."),
    "nana": persona("nana", "Nana Byte", "A grandmother."),
    "zen": persona("zen", "Master Null", "A teacher."),
}


def test_nothing_typed_finds_everybody():
    assert [found.slug for found in search(PERSONAS, "")] == ["codebeard", "nana", "zen"]


@pytest.mark.parametrize(
    ("typed", "slugs"),
    [
        ("zen", ["zen", "codebeard"]),
        ("NULL", ["zen"]),
        ("yte", ["nana"]),
        ("grandm", ["nana"]),
        ("nobody", []),
    ],
)
def test_slug_and_name_come_before_the_description(typed: str, slugs: list[str]):
    assert [found.slug for found in search(PERSONAS, typed)] == slugs


@pytest.mark.parametrize(
    ("name", "strength", "spec"),
    [
        ("codebeard", "", "codebeard"),
        (" Captain CODEBEARD ", "", "codebeard"),
        ("zen", "50%", "zen:0.5"),
        ("zen", "1", "zen"),
        ("zen", "1,25", "zen:1.25"),
        ("BASE", "", "base"),
        ("codebeard:0.7 + zen:0.3", "", "codebeard:0.7+zen:0.3"),
    ],
)
def test_a_choice_is_a_slug_a_name_or_a_blend(name: str, strength: str, spec: str):
    assert str(choose(PERSONAS, name, strength)) == spec


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(NotFound, match="codebeard, nana, zen"):
        choose(PERSONAS, "blackbeard")
    with pytest.raises(NotFound, match="codebeard, nana, zen"):
        choose(PERSONAS, "zen:0.5+blackbeard:0.5")


@pytest.mark.parametrize("name", ["base", "zen:0.5", "zen+nana"])
def test_only_a_single_persona_takes_a_strength(name: str):
    with pytest.raises(InvalidBlend, match="takes no strength"):
        choose(PERSONAS, name, "50%")


@pytest.mark.parametrize("text", ["0", "0%", "-1", "201%", "3", "much", "nan", "inf", "%", "1e-9"])
def test_a_strength_lies_above_nothing_and_at_most_at_twice(text: str):
    with pytest.raises(InvalidBlend, match="is no strength"):
        parse_strength(text)


@pytest.mark.parametrize(
    ("typed", "specs"),
    [
        ("ze", ["zen:0.5"]),
        ("nana:0.7+ze", ["nana:0.7+zen:0.5"]),
        ("nana:0.7+n", ["nana:0.7+zen:0.5"]),
        ("zen:", ["zen:0.25", "zen:0.5", "zen:0.75", "zen:1"]),
        ("a+b+c+d+", []),
    ],
)
def test_a_blend_is_completed_part_by_part(typed: str, specs: list[str]):
    assert complete_blend(PERSONAS, typed)[: len(specs) or 1] == specs


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("zen", "🎭 Master Null"),
        ("zen:0.5", "🎭 Master Null at 50 %"),
        ("zen:0.7+nana:0.3", "70 % 🎭 Master Null + 30 % 🎭 Nana Byte"),
        ("gone", "gone"),
        ("base", "🧊 Base model"),
    ],
)
def test_a_choice_is_named_for_people(spec: str, named: str):
    assert describe(PERSONAS, spec) == named
