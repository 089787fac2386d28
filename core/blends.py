"""What a client may name as `model`: a persona, `base`, or a blend such as "codebeard:0.7+zen:0.3". Pure text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from core.errors import InvalidBlend

BASE = "base"
MAX_PARTS = 4
MAX_WEIGHT = 2.0
MAX_SPEC_CHARS = 200
SLUG_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class BlendPart:
    slug: str
    weight: float


@dataclass(frozen=True, slots=True)
class Blend:
    """Shares of personas, heaviest first; no parts is the base model, one part of weight 1 a plain persona."""

    parts: tuple[BlendPart, ...] = ()

    @property
    def is_base(self) -> bool:
        return not self.parts

    def __str__(self) -> str:
        if self.is_base:
            return BASE
        if len(self.parts) == 1 and self.parts[0].weight == 1:
            return self.parts[0].slug
        return "+".join(f"{part.slug}:{part.weight:g}" for part in self.parts)


def parse_blend(spec: str) -> Blend:
    """Read a blend. Weights lie above 0 and up to 2; a part without one weighs 1. Raises InvalidBlend.

    >>> str(parse_blend("codebeard:0.7+zen:0.3"))
    'codebeard:0.7+zen:0.3'
    """
    if len(spec) > MAX_SPEC_CHARS:
        raise InvalidBlend(f"The model name is {len(spec)} characters long; at most {MAX_SPEC_CHARS} are allowed.")
    shown = spec.strip()
    if shown.lower() == BASE:
        return Blend()
    texts = shown.split("+")
    if len(texts) > MAX_PARTS:
        raise InvalidBlend(f'"{shown}" blends {len(texts)} personas; at most {MAX_PARTS} can be blended.')
    parts = [_parse_part(text.strip(), shown) for text in texts]
    slugs = [part.slug for part in parts]
    if len(set(slugs)) != len(slugs):
        raise InvalidBlend(f'"{shown}" names a persona twice; give each persona one weight.')
    if BASE in slugs:
        raise InvalidBlend(
            f'"{shown}" blends the base model; lower the persona\'s weight instead, as in "codebeard:0.5".'
        )
    return Blend(tuple(sorted(parts, key=lambda part: (-part.weight, part.slug))))


def _parse_part(text: str, spec: str) -> BlendPart:
    slug, colon, number = text.partition(":")
    slug = slug.strip().lower()
    if not SLUG_PATTERN.fullmatch(slug):
        raise InvalidBlend(f'"{spec}" is not a persona or blend; write one as in "codebeard:0.7+zen:0.3".')
    if not colon:
        return BlendPart(slug, 1.0)
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= MAX_WEIGHT:
        raise InvalidBlend(
            f'"{spec}" gives {slug} the weight "{number}"; use a number above 0 and up to {MAX_WEIGHT:g}.'
        )
    return BlendPart(slug, round(weight, 4) or 0.0001)
