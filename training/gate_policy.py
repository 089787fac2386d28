"""What the gate asks, and what of people's feedback it judges by. Plain records; knows no statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.personas import Persona

PARAPHRASES_RIGHT = 2  # of three: then an answer is learned, and not met by chance


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The thresholds. A persona changes them in its [gate] table; docs/learning.md says what each one means."""

    perplexity_ratio: float = 1.02
    adherence_margin: float = 0.10
    drop_the_act_margin: float = 0.12
    formats_margin: float = 0.25
    identity_margin: float = 0.15
    flawed_margin: float = 0.06
    facts_margin: float = 0.08
    facts_margin_to_base: float = 0.20
    refusals_margin: float = 0.15
    general_text_ratio: float = 1.03
    corrections: float = 0.80
    corrections_kept: float = 0.90
    votes: float = 0.60
    min_votes: int = 5
    diversity: float = 0.90
    words_ratio: float = 1.25
    emoji_rise: float = 0.10
    exclamations_rise: float = 0.50
    praise_rise: float = 0.05
    confidence: float = 0.95
    must_improve: bool = True


@dataclass(frozen=True, slots=True)
class VoteRewards:
    """Held-out votes, which trained nothing: whether each reply was liked, and how much likelier each adapter makes it
    than the anchor does (the logarithm of that ratio: DPO's and KTO's implicit reward)."""

    labels: tuple[bool, ...] = ()
    challenger: tuple[float, ...] = ()
    champion: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """Of each better answer that people wrote, how many paraphrases of its question are answered right."""

    challenger: tuple[int, ...] = ()
    champion: tuple[int, ...] = ()


def policy_for(persona: Persona) -> GatePolicy:
    """The thresholds with what the persona changes of them."""
    return replace(GatePolicy(), **persona.file.gate.model_dump(exclude_none=True))
