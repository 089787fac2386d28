"""A draft's files are what the rest of the program reads: persona.toml, prompt and rows, without a fault."""

from __future__ import annotations

import json

import pytest

from bot.new_persona.from_card import draft_from_card
from bot.new_persona.persona_draft import PersonaDraft
from bot.new_persona.persona_folder import write_draft
from bot.new_persona.starter import starter_draft
from core.errors import InvalidData, InvalidInput, StoreUnavailable
from core.personas import load_persona
from tests.examples.character_cards import EXAMPLES, card_fields, card_v2, card_v3, write_card
from training.data_files import read_rows

HARD = '"Quoted" \\ back\nslash 🏴‍☠️ {user} \x7f\x85\u2028 = [table]'


def written(draft: PersonaDraft, tmp_path):
    write_draft(draft, tmp_path / "personas" / draft.slug)
    return load_persona(tmp_path / "personas" / draft.slug)


def test_a_starter_is_a_whole_persona_with_a_dozen_rows_and_a_few_held_out(tmp_path):
    persona = written(starter_draft("ada", "Ada", "Exact and curious"), tmp_path)
    assert (persona.name, persona.file.description) == ("Ada", "Exact and curious")
    assert persona.system_prompt.startswith("You are Ada. Exact and curious. Speak")
    train, held_out = read_rows(persona.train_path), read_rows(persona.eval_path)
    assert (len(train), len(held_out)) == (12, 4)
    assert not set(train) & set(held_out)
    assert any(row.history for row in train) and any(row.input for row in train)
    files = sorted(path.name for path in persona.folder.iterdir())
    assert files == ["CARD.md", "eval.jsonl", "persona.toml", "system_prompt.md", "train.jsonl"]
    assert "{" not in "".join(path.read_text() for path in persona.folder.glob("*.md"))


@pytest.mark.parametrize(("file", "card"), [("c.png", card_v2()), ("c.png", card_v3()), ("c.json", card_fields())])
def test_a_card_gives_name_prompt_greeting_rows_and_picture(tmp_path, file, card):
    made = draft_from_card("sera", write_card(tmp_path / file, card))
    persona = written(made.draft, tmp_path)
    assert persona.name == "Seraphina"
    assert persona.file.description == "Seraphina guards a glade. She found the user at dawn."
    assert persona.file.greeting == "*She looks at you.* Good morning!"
    assert persona.system_prompt == (
        "You are Seraphina. Speak as Seraphina, in the first person, and stay in character.\n\n"
        "Seraphina guards a glade. She found the user at dawn.\n\nPersonality: kind and wry\n\n"
        "Scenario: The user wakes up in her house."
    )
    assert [row.output for row in read_rows(persona.train_path)][1] == "Because you look tired."
    assert len(read_rows(persona.eval_path)) == 1
    assert (persona.avatar is not None) == file.endswith("png")
    assert made.left_out == ()


def test_texts_that_are_too_long_are_cut_and_that_is_told(tmp_path):
    card = card_v2(name="Ann " * 50, description="She is tall. " * 1_000, first_mes="Well, well. " * 100)
    made = draft_from_card("ann", write_card(tmp_path / "c.json", card))
    persona = written(made.draft, tmp_path)
    assert len(persona.system_prompt) <= 8_000 and persona.system_prompt.endswith("She is tall.")
    assert len(persona.file.greeting) <= 500 and len(persona.file.description) <= 300 and len(persona.name) <= 80
    cut = [line.partition(" was cut from ")[0] for line in made.changed if "was cut" in line]
    assert cut == ["The name", "The greeting", "system_prompt.md"]


def test_a_card_of_few_words_gets_the_starters_rows_and_says_so(tmp_path):
    value = {"spec": "chara_card_v2", "data": {"name": "Ann", "personality": "calm"}}
    made = draft_from_card("ann", write_card(tmp_path / "c.json", value))
    persona = written(made.draft, tmp_path)
    assert (persona.file.description, persona.file.greeting[:16]) == ("calm", "Hello, I am Ann.")
    assert len(read_rows(persona.train_path)) == 12
    assert any("no example dialogues" in line for line in made.changed)


def test_characters_that_toml_and_json_know_survive_and_the_others_go(tmp_path):
    card = card_v2(
        name='"Ann" \\ \\"', description=HARD, first_mes=HARD, mes_example=f"{{{{user}}}}: {HARD}\n{EXAMPLES}"
    )
    persona = written(draft_from_card("ann", write_card(tmp_path / "c.json", card)).draft, tmp_path)
    assert '"Quoted" \\ back slash 🏴‍☠️ {user}' in persona.file.greeting
    assert not {"\x7f", "\x85"} & set(persona.file.greeting + persona.system_prompt)
    assert read_rows(persona.train_path)


def test_what_was_typed_goes_before_what_the_card_says(tmp_path):
    path = write_card(tmp_path / "c.json", card_v2())
    draft = draft_from_card("ann", path, name="Ann", description="Mine.").draft
    assert (draft.name, draft.description) == ("Ann", "Mine.")
    assert draft.system_prompt.startswith("You are Ann.") and "Ann guards" in draft.system_prompt


def test_what_is_no_card_names_the_file(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"spec": "chara_card_v2", "data": {"name": 1}}))
    with pytest.raises(InvalidData, match=r'c\.json cannot be taken as a character card: "name" is a number'):
        draft_from_card("ann", tmp_path / "c.json")


def test_a_folder_that_is_somebodys_is_left_alone_and_an_empty_one_is_used(tmp_path):
    draft, folder = starter_draft("ada", "Ada"), tmp_path / "personas" / "ada"
    folder.mkdir(parents=True)
    write_draft(draft, folder)
    before = (folder / "train.jsonl").read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        write_draft(starter_draft("ada", "Other"), folder)
    assert (folder / "train.jsonl").read_bytes() == before
    assert list(folder.parent.iterdir()) == [folder]


def test_where_nothing_can_be_written_nothing_is_left(tmp_path):
    (tmp_path / "personas").touch()
    with pytest.raises(StoreUnavailable, match="PERSONAS_DATA_DIR"):
        write_draft(starter_draft("ada", "Ada"), tmp_path / "personas" / "ada")
    broken = PersonaDraft("ada", "Ada", "x", "x", "x", (), (), "\ud800")  # fails while the files are made
    with pytest.raises(UnicodeEncodeError):
        write_draft(broken, tmp_path / "own" / "ada")
    assert list((tmp_path / "own").iterdir()) == []
