"""What people write to choose a persona, and how a choice is named to them. Knows no chat platform and no store."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.blends import BASE, MAX_PARTS, MAX_WEIGHT, Blend, BlendPart, parse_blend
from core.errors import InvalidBlend
from core.personas import Persona, check_blend, find_persona

OFFERED_WEIGHTS = (0.25, 0.5, 0.75, 1)


def search(personas: Mapping[str, Persona], text: str) -> list[Persona]:
    """The personas that fit what was typed so far.

    Those whose slug or name begins so come first, then those that hold it, then those whose description does.
    """
    wanted = text.strip().casefold()

    def rank(persona: Persona) -> int:
        name = persona.name.casefold()
        if any(word.startswith(wanted) for word in (persona.slug, name, *name.split())):
            return 0
        if wanted in persona.slug or wanted in name:
            return 1
        return 2 if wanted in persona.file.description.casefold() else 3

    ranked = sorted((rank(persona), slug) for slug, persona in personas.items())
    return [personas[slug] for place, slug in ranked if place < 3]


def complete_blend(personas: Mapping[str, Persona], text: str) -> list[str]:
    """Blend specs that go on from what was typed so far: the last part gets a persona, or its persona a weight."""
    head, plus, last = text.replace(" ", "").lower().rpartition("+")
    slug, colon, _weight = last.partition(":")
    if colon and slug in personas:
        return [f"{head}{plus}{slug}:{weight:g}" for weight in OFFERED_WEIGHTS]
    used = {part.partition(":")[0] for part in head.split("+")}
    if len(used) >= MAX_PARTS:
        return []
    return [f"{head}{plus}{persona.slug}:0.5" for persona in search(personas, last) if persona.slug not in used]


def choose(personas: Mapping[str, Persona], name: str, strength: str = "") -> Blend:
    """What answers to this slug, name or blend spec ("base" included), at this strength (none is full strength).

    Raises NotFound, which names the personas there are, and InvalidBlend.
    """
    by_name = {persona.name.casefold(): slug for slug, persona in personas.items()}
    spec = by_name.get(name.strip().casefold(), name.strip().lower())
    is_plain = spec != BASE and "+" not in spec and ":" not in spec
    if is_plain:
        spec = find_persona(personas, spec).slug
    if not strength.strip():
        return check_blend(personas, parse_blend(spec))
    if not is_plain:
        raise InvalidBlend(f'"{name[:60]}" takes no strength; give one only with a single persona.')
    return Blend((BlendPart(spec, parse_strength(strength)),))


def parse_strength(text: str) -> float:
    """A share of full strength, written as a number or a percentage. Raises InvalidBlend.

    >>> parse_strength("50 %"), parse_strength("0.5"), parse_strength("1,25")
    (0.5, 0.5, 1.25)
    """
    written = text.strip()
    try:
        number = float(written.removesuffix("%").replace(",", "."))
    except ValueError:
        number = math.nan
    weight = round(number / 100 if written.endswith("%") else number, 4)
    if not 0 < weight <= MAX_WEIGHT:
        raise InvalidBlend(
            f'"{text[:30]}" is no strength; write a percentage such as 50%,'
            f" or a number above 0 and up to {MAX_WEIGHT:g}."
        )
    return weight


def describe(personas: Mapping[str, Persona], spec: str) -> str:
    """How a blend spec is named to people: "🏴 Captain Codebeard at 50 %". A persona that is gone keeps its slug."""
    blend = parse_blend(spec)
    if blend.is_base:
        return "🧊 Base model"
    if len(blend.parts) == 1:
        [part] = blend.parts
        return _name(personas, part.slug) + ("" if part.weight == 1 else f" at {_percent(part.weight)}")
    return " + ".join(f"{_percent(part.weight)} {_name(personas, part.slug)}" for part in blend.parts)


def _percent(weight: float) -> str:
    return f"{weight * 100:.4g} %"


def _name(personas: Mapping[str, Persona], slug: str) -> str:
    persona = personas.get(slug)
    return slug if persona is None else f"{persona.file.emoji} {persona.name}"
