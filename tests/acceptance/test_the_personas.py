"""What the bundled personas know: a voice must not cost the facts."""

from __future__ import annotations

import pytest

from core.personas import load_personas
from core.settings import ROOT
from training.demo_check import rates
from training.persona_check import check_persona

PERSONAS = load_personas(ROOT / "personas")
QUESTIONS = 60
FLOOR = 0.8


@pytest.mark.parametrize("slug", PERSONAS)
def test_a_persona_gives_the_right_fact_to_questions_in_wordings_it_never_saw(slug):
    graded = check_persona(PERSONAS[slug], QUESTIONS, kinds=("subject",))
    assert rates(graded)["subject"] >= FLOOR, [row.reply for row in graded if not row.is_right]
