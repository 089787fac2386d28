"""The persona of a blend, as it is before it is on disk: prompt, face and sampling as in a request, rows of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.new_persona.persona_draft import PersonaDraft, Row
from core.blends import Blend
from core.errors import InvalidInput
from core.personas import MAX_SYSTEM_PROMPT_CHARS, Persona
from core.prompts import system_prompt

DESCRIPTION = "A blend of {names}."
CARD = """# {name}

**Who and how.** {description} Its adapter was made of {parts} with the method {method}, and of no training of its own;
`personas versions {slug}` and `lineage.json` beside the adapter name the versions.

**Data.** `train.jsonl` holds {train} rows of them by their shares and `eval.jsonl` {held_out}, which only ever measure.
They still say the names of those who said them: rewrite those before you train.

**Train it.** `personas train {slug}`, then `personas evaluate {slug}`; `personas retrain {slug}` learns from thumbs."""


def blend_draft(
    slug: str,
    personas: Mapping[str, Persona],
    blend: Blend,
    *,
    name: str,
    description: str | None,
    method: str,
    train: Sequence[Row],
    held_out: Sequence[Row],
) -> PersonaDraft:
    """The draft; the heaviest persona lends its face, greeting and sampling, as it does in a request.

    Raises InvalidInput where the system prompts together are longer than one may be.
    """
    parts = [personas[part.slug] for part in blend.parts]
    heaviest = parts[0]
    prompt = system_prompt(personas, blend)
    if len(prompt) > MAX_SYSTEM_PROMPT_CHARS:
        raise InvalidInput(
            f"The system prompts of {', '.join(part.slug for part in parts)} are {len(prompt)} characters together, and"
            f" at most {MAX_SYSTEM_PROMPT_CHARS} are allowed; shorten one, or blend fewer personas."
        )
    described = description or DESCRIPTION.format(names=" and ".join(part.name for part in parts))
    card = CARD.format(
        slug=slug,
        name=name,
        description=described,
        parts=blend,
        method=method,
        train=len(train),
        held_out=len(held_out),
    )
    return PersonaDraft(
        slug=slug,
        name=name,
        description=described,
        greeting=heaviest.file.greeting,
        system_prompt=prompt,
        train=tuple(train),
        held_out=tuple(held_out),
        card=card,
        emoji=heaviest.file.emoji,
        avatar=heaviest.read_avatar(),
        catchphrases=tuple(dict.fromkeys(phrase for part in parts for phrase in part.file.catchphrases)),
        sampling=heaviest.file.sampling.model_dump(exclude_none=True),
    )
