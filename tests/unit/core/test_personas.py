from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.blends import parse_blend
from core.errors import InvalidData, NotFound, PersonasError
from core.personas import check_blend, find_persona, load_persona, load_personas
from core.settings import ROOT
from tests.examples.persona_folders import GOOD_TOML, write_persona


def test_the_shipped_personas_can_be_read_and_differ_in_name_face_and_prompt():
    personas = load_personas(ROOT / "personas").values()
    assert len(personas) >= 4
    for wanted in (lambda p: p.name, lambda p: p.file.emoji, lambda p: p.system_prompt, lambda p: p.file.greeting):
        assert len({wanted(persona) for persona in personas}) == len(personas)


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('name = "Ada"', "description: Field required; greeting"),
        (GOOD_TOML + "nmae = 1", "nmae: there is no such key"),
        (GOOD_TOML + "[training]\ntargets = 'everything'", "training.targets"),
        (GOOD_TOML + "[gate]\nvotse = 0.7", "gate.votse: there is no such key"),
        (GOOD_TOML + "[gate]\nconfidence = 1.5", "gate.confidence: Input should be less than 1"),
        (GOOD_TOML + "[sampling]\ntemperature = -1", "sampling.temperature"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_broken_persona_file_is_named_with_every_wrong_field(tmp_path, toml, complaint):
    folder = write_persona(tmp_path / "ada", toml)
    with pytest.raises(InvalidData, match=complaint) as caught:
        load_persona(folder)
    assert "ada" in str(caught.value)


def test_a_missing_prompt_a_bad_folder_name_and_bytes_that_are_no_text_are_refused(tmp_path):
    (write_persona(tmp_path / "ada") / "system_prompt.md").unlink()
    with pytest.raises(InvalidData, match=r"system_prompt\.md is missing"):
        load_persona(tmp_path / "ada")
    with pytest.raises(InvalidData, match="a-z, 0-9"):
        load_persona(write_persona(tmp_path / "Ada Lovelace"))
    with pytest.raises(InvalidData, match='not "base"'):
        load_persona(write_persona(tmp_path / "base"))
    write_persona(tmp_path / "bytes")
    (tmp_path / "bytes" / "system_prompt.md").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidData, match="not UTF-8"):
        load_persona(tmp_path / "bytes")
    (tmp_path / "bytes" / "system_prompt.md").unlink()
    (tmp_path / "bytes" / "system_prompt.md").mkdir()
    with pytest.raises(InvalidData, match=r"bytes/system_prompt\.md is a folder"):
        load_persona(tmp_path / "bytes")
    with pytest.raises(InvalidData, match="9000 characters"):
        load_persona(write_persona(tmp_path / "long", prompt="x" * 9000))


def test_an_empty_folder_says_which_setting_to_change(tmp_path):
    with pytest.raises(NotFound, match="PERSONAS_DIR"):
        load_personas(tmp_path)


def test_an_unknown_persona_is_answered_with_the_known_ones(tmp_path):
    personas = {"ada": load_persona(write_persona(tmp_path / "ada"))}
    assert find_persona(personas, " ADA ").slug == "ada"
    with pytest.raises(NotFound, match='no persona "bob"; the installed ones are ada'):
        check_blend(personas, parse_blend("ada+bob"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: (GOOD_TOML + text).encode())))
def test_any_bytes_as_persona_file_either_load_or_give_a_sentence(tmp_path, content):
    folder = write_persona(tmp_path / "ada")
    (folder / "persona.toml").write_bytes(content)
    try:
        assert load_persona(folder).slug == "ada"
    except PersonasError as error:
        assert "ada" in str(error)


def test_personas_of_ones_own_stand_beside_the_shipped_ones(tmp_path):
    write_persona(tmp_path / "shipped" / "zen")
    write_persona(tmp_path / "own" / "ada")
    write_persona(tmp_path / "own" / ".partial-x")  # is just being written
    personas = load_personas(tmp_path / "shipped", tmp_path / "own")
    assert {slug: persona.folder.parent.name for slug, persona in personas.items()} == {"zen": "shipped", "ada": "own"}
    assert list(load_personas(tmp_path / "shipped", tmp_path / "missing")) == ["zen"]
    assert list(load_personas(tmp_path / "missing", tmp_path / "own")) == ["ada"]
    assert list(load_personas(tmp_path / "own", tmp_path / "shipped" / ".." / "own")) == ["ada"]


def test_a_slug_in_both_places_is_the_shipped_persona_and_the_other_is_left_out_with_both_paths_named(tmp_path, caplog):
    shipped = write_persona(tmp_path / "shipped" / "ada")
    own = write_persona(tmp_path / "own" / "ada")
    write_persona(tmp_path / "own" / "bob")
    personas = load_personas(tmp_path / "shipped", tmp_path / "own")
    assert (list(personas), personas["ada"].folder) == (["ada", "bob"], shipped)
    [record] = caplog.records
    assert record.getMessage() == f"ada is left out: {own} has the short name of {shipped}; rename it."


def test_a_broken_persona_of_ones_own_is_left_out_and_stops_nobody_else(tmp_path, caplog):
    write_persona(tmp_path / "shipped" / "zen")
    write_persona(tmp_path / "own" / "ada", "name = ")
    write_persona(tmp_path / "own" / "Bad Name")
    write_persona(tmp_path / "own" / "cyd")
    assert list(load_personas(tmp_path / "shipped", tmp_path / "own")) == ["zen", "cyd"]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("Bad Name is left out: ") and "a-z, 0-9" in said[0]
    assert said[1].startswith("ada is left out: ") and "not valid TOML" in said[1]


def test_a_file_with_very_many_wrong_keys_is_named_in_a_short_line(tmp_path):
    folder = write_persona(tmp_path / "ada", GOOD_TOML + "\n".join(f"k{number} = 1" for number in range(2_000)))
    with pytest.raises(InvalidData, match=r"k0: there is no such key; .*; and 1995 more\.$") as caught:
        load_persona(folder)
    assert len(str(caught.value)) < 1_000


def test_a_file_that_would_take_long_to_judge_is_too_large(tmp_path):
    folder = write_persona(tmp_path / "ada", f"{GOOD_TOML}catchphrases = [{'1,' * 200_000}]")
    with pytest.raises(InvalidData, match="larger than 256 KiB"):
        load_persona(folder)


@pytest.mark.parametrize("phrases", ['[""]', '["\\u0000"]', '["\\u001b[2J"]', f"[{'1,' * 201}]"])
def test_a_catchphrase_is_a_line_that_can_be_seen_and_there_are_not_too_many(tmp_path, phrases):
    with pytest.raises(InvalidData, match="catchphrases"):
        load_persona(write_persona(tmp_path / "ada", f"{GOOD_TOML}catchphrases = {phrases}"))


def test_a_folder_that_leads_round_in_a_circle_holds_nobody(tmp_path):
    write_persona(tmp_path / "shipped" / "zen")
    (tmp_path / "own").symlink_to(tmp_path / "own")
    assert list(load_personas(tmp_path / "shipped", tmp_path / "own")) == ["zen"]
