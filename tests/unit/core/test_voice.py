"""The words of a persona's rows tell its replies from plain ones."""

from __future__ import annotations

import json

from core.personas import Persona, PersonaFile
from core.voice import Voice, read_voice


def test_its_own_words_are_heard_and_everybodys_are_not():
    voice = Voice(["Ahoy, the stack be yer hold, arr."] * 5, ["The stack is a list."] * 5)
    assert voice.share("Ahoy! Arr!") == 1
    assert voice.share("The stack is a list.") == 0
    assert voice.share("") == voice.share("123 !!") == 0


def test_rows_are_held_against_other_personas_rows_and_bad_ones_are_left_out(tmp_path):
    file = PersonaFile(name="A", description="B", greeting="C")
    personas = {}
    for slug, reply in (("zen", "Breathe, the stack is empty."), ("noir", "Rain fell on the stack, pal.")):
        personas[slug] = Persona(slug, tmp_path / slug, file, "")
        personas[slug].folder.mkdir()
        rows = [json.dumps({"instruction": "What is a stack?", "output": reply})] * 4
        personas[slug].train_path.write_text("\n".join(["no JSON", "[]", *rows]))
    voice = read_voice(personas["zen"], personas)
    assert voice.share("Breathe") == 1
    assert voice.share("rain on the stack") == 0
    personas["zen"].train_path.unlink()
    assert read_voice(personas["zen"], personas).share("Breathe") == 0
