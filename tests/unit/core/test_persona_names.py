from __future__ import annotations

import pytest

from core.errors import InvalidData
from core.persona_names import name_key, one_line
from core.personas import load_persona, load_personas
from tests.examples.persona_folders import GOOD_TOML, write_persona


@pytest.mark.parametrize(
    "text",
    ["a\x1b[31mred", "a\x00", "bell\x07", "a\u202etxt.exe", "a\u200fb", "a\u2066b", "a\u200bb", "a\x85b", "\ue000"],
)
def test_what_cannot_be_printed_is_refused_by_its_number(text):
    with pytest.raises(ValueError, match=r"character \d+ is U\+[0-9A-F]{4}, which cannot be printed"):
        one_line(text)


@pytest.mark.parametrize("text", ["", " \n", "\u200d", "\u3164", "\u0301"])
def test_what_shows_nothing_is_refused(text):
    with pytest.raises(ValueError, match="shows nothing"):
        one_line(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Ada \n Lovelace\t", "Ada Lovelace"),
        ("a\u2028b\u00a0c", "a b c"),
        ("🏴‍☠️ 👩🏽‍🚀", "🏴‍☠️ 👩🏽‍🚀"),
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        ("می‌خواهم", "می‌خواهم"),
    ],
)
def test_a_name_of_any_script_or_emoji_stays_and_is_one_line(text, line):
    assert one_line(text) == line


def test_names_that_look_the_same_are_the_same():
    assert name_key("Ada") == name_key("ＡＤＡ") == name_key("a\u200dda") == name_key(" ada ") != name_key("Ida")


def toml(name):
    return GOOD_TOML.replace("Ada", name)


def test_two_personas_never_have_one_name_and_none_has_anothers_short_name(tmp_path, caplog):
    write_persona(tmp_path / "shipped" / "zen", toml("Master Zen"))
    write_persona(tmp_path / "own" / "a", toml("MASTER  ＺＥＮ"))
    write_persona(tmp_path / "own" / "b", toml("zen"))
    write_persona(tmp_path / "own" / "c", toml("Base"))
    write_persona(tmp_path / "own" / "d", toml("D"))
    assert list(load_personas(tmp_path / "shipped", tmp_path / "own")) == ["zen", "d"]
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in said] == ["a", "b", "c"] and all("already means" in line for line in said)


@pytest.mark.parametrize("field", ["name", "description", "greeting"])
def test_a_persona_with_an_escape_sequence_is_refused_with_the_field_named(tmp_path, field):
    folder = write_persona(tmp_path / "ada", GOOD_TOML.replace(f'{field} = "', f'{field} = "\\u001b[2J'))
    with pytest.raises(InvalidData, match=rf"persona\.toml: {field}: character 1 is U\+001B") as caught:
        load_persona(folder)
    assert "\x1b" not in str(caught.value)


def test_a_greeting_written_over_several_lines_is_one_line(tmp_path):
    folder = write_persona(tmp_path / "ada", GOOD_TOML.replace('"Good day."', '"""Good\n  day."""'))
    assert load_persona(folder).file.greeting == "Good day."
