"""Grades a persona's adapter on the bundled model: does it still know the facts, in its own words? Knows no training.

    python -m training.persona_check codebeard     # prints the table and the misses

The questions are the bundled model's fresh ones, and a reply is right as in demo_check; but what it is compared with
has the voice's words, small talk and refusals.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace

from peft import PeftModel
from rich.console import Console

from core.engine.loading import load_base_model
from core.messages import ChatMessage
from core.personas import Persona, find_persona, load_personas
from core.prompts import compose
from core.settings import DEMO_MODEL, DEMO_MODEL_FOLDER, load_settings
from training.demo_check import Graded, grade, load_held_out, print_grades
from training.demo_facts import DemoFacts, Subject, load_facts
from training.demo_replies import greedy_replies
from training.demo_style import Style, load_style
from training.library_noise import quiet_libraries

FRESH = "fresh"
QUESTIONS = 200


def in_voice(facts: DemoFacts, style: Style) -> DemoFacts:
    """The same facts and small talk in a voice's words."""
    return replace(
        facts,
        subjects=tuple(_reworded(subject, style) for subject in facts.subjects),
        talk=tuple(replace(talk, replies=style.talk.get(talk.id, talk.replies)) for talk in facts.talk),
        contrasts=tuple(replace(contrast, answer=style.reword(contrast.answer)) for contrast in facts.contrasts),
    )


def _reworded(subject: Subject, style: Style) -> Subject:
    return replace(
        subject,
        definition=style.reword(subject.definition),
        again=style.reword(subject.again),
        example=style.reword(subject.example),
        why=style.reword(subject.why),
        opposite=style.reword(subject.opposite),
    )


def check_persona(persona: Persona, count: int, kinds: Sequence[str] = ()) -> list[Graded]:
    """Ask the persona's bundled adapter `count` fresh questions, of these kinds or of any, and grade its replies."""
    style = load_style(persona)
    facts = in_voice(load_facts(), style)
    questions = [question for question in load_held_out(facts, FRESH) if not kinds or question.kind in kinds]
    questions = random.Random(FRESH).sample(questions, min(count, len(questions)))
    base = load_base_model(str(DEMO_MODEL_FOLDER))
    with quiet_libraries():
        model = PeftModel.from_pretrained(base.model, persona.adapter_folder(DEMO_MODEL)).eval()

    def reply(chats: Sequence[Sequence[ChatMessage]]) -> list[str]:
        return greedy_replies(model, base.tokenizer, [compose(persona.system_prompt, chat) for chat in chats])

    return grade(facts, questions, reply, refusals=style.refusals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("persona")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="how many to ask (%(default)s)")
    parser.add_argument("--misses", type=int, default=20, help="how many misses to print (%(default)s)")
    arguments = parser.parse_args()
    persona = find_persona(load_personas(load_settings().dir), arguments.persona)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    print_grades(console, check_persona(persona, arguments.questions), arguments.misses)


if __name__ == "__main__":
    main()
