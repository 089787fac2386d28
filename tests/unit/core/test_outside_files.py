from __future__ import annotations

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidData, NotFound, PersonasError
from core.outside_files import MAX_DEPTH, parse_json, read_bytes, read_json, read_text, read_toml

BOM = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_read_as_if_it_were_not_there(tmp_path):
    (tmp_path / "file").write_bytes(BOM + b"a = 1")
    assert (read_text(tmp_path / "file"), read_toml(tmp_path / "file")) == ("a = 1", {"a": 1})
    (tmp_path / "file").write_bytes(BOM + b'{"a": 1}')
    assert read_json(tmp_path / "file") == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "[" * 20_000 + "]" * 20_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a": ' * 20_000,
        "{",
        "9" * 5_000,
        "1" + "0" * 400,
        "1e400",
        "NaN",
        "",
    ],
)
def test_whatever_a_json_parser_stumbles_over_is_a_sentence_that_names_the_file(tmp_path, text):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(InvalidData, match=r"file\.json cannot be read: it is (nested too deeply|not JSON)"):
        read_json(tmp_path / "file.json")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 20_000,
        "a = " + "{b=" * 20_000,
        "a." * 20_000 + "b = 1",
        "a = 1" + "0" * 400,
        "a = " + "9" * 5_000,
        "a = inf",
        "a = nan",
        "a = ",
        "a = 2024-99-99",
        "a = 0000-00-00T99:99:99",
    ],
)
def test_whatever_a_toml_parser_stumbles_over_is_a_sentence_that_names_the_file(tmp_path, text):
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(InvalidData, match=r"file\.toml cannot be read: it is (nested too deeply|not valid TOML)"):
        read_toml(tmp_path / "file.toml")


def test_an_absurd_number_is_named_by_its_key():
    with pytest.raises(InvalidData, match="'lora_alpha' has too many digits"):
        parse_json(b'{"lora_alpha": 1' + b"0" * 400 + b"}")


def test_a_pipe_a_device_and_a_folder_are_refused_and_nobody_waits(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    said = []

    def read_all():
        for path in (tmp_path / "pipe", tmp_path / "zero", tmp_path):
            with pytest.raises(InvalidData, match="where a file is wanted") as caught:
                read_bytes(path)
            said.append(str(caught.value))

    reading = threading.Thread(target=read_all, daemon=True)
    reading.start()
    reading.join(60)
    assert not reading.is_alive() and len(said) == 3


def test_a_file_that_is_too_large_missing_or_no_text_is_a_sentence(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 2_049)
    with pytest.raises(InvalidData, match="large is larger than 2 KiB"):
        read_bytes(tmp_path / "large", max_bytes=2_048)
    assert len(read_bytes(tmp_path / "large", max_bytes=2_049)) == 2_049
    with pytest.raises(NotFound, match="nothing is missing"):
        read_bytes(tmp_path / "nothing")
    (tmp_path / "bytes").write_bytes(b"\xff\xfea")
    with pytest.raises(InvalidData, match="bytes is not UTF-8 text"):
        read_text(tmp_path / "bytes")
    with pytest.raises(InvalidData, match="cannot be read"):
        read_text(tmp_path / "a\0b")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_value_or_a_sentence(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    for read in (read_json, read_toml, read_text):
        try:
            read(tmp_path / "file")
        except PersonasError as error:
            assert str(tmp_path) in str(error) and str(error).endswith(".")


@pytest.mark.parametrize("part", ["a.", "a . ", '"a".', "'a'\t.", "[a.", "x=[{a."])
def test_a_key_of_a_million_parts_is_refused_before_it_is_parsed(tmp_path, part):
    text = f"{part}{part.lstrip('[x={') * (3_000_000 // len(part))}b = 1"
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(InvalidData, match="nested too deeply"):
        read_toml(tmp_path / "file.toml")


@pytest.mark.parametrize(
    "text", ["a" * 4_000_000, "a = '" + '"' * 4_000_000, '"' * 4_000_000, "a." * 60 + "\n" + "a-" * 2_000_000]
)
def test_text_that_only_resembles_a_deep_key_is_read_in_time(tmp_path, text):
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(InvalidData, match="not valid TOML"):
        read_toml(tmp_path / "file.toml")


def test_words_with_dots_are_no_keys(tmp_path):
    words = "So... it goes, e.g. at a.b.c. " * 2_000
    (tmp_path / "file.toml").write_text(f'a.b.c = "{words}"')
    assert read_toml(tmp_path / "file.toml") == {"a": {"b": {"c": words}}}
