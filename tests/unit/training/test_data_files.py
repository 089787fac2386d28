"""Reading rows: whatever stands in a file, it is read whole or refused with every bad line named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidData, NotFound
from core.messages import ChatMessage
from tests.examples.training import make_rows
from training import data_files
from training.data_files import TrainingRow, parse_row, read_rows, spread

GOOD = {"instruction": "Hello?", "input": "", "output": "Arr!"}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: text.strip())
turns = st.lists(st.tuples(texts, texts), max_size=3).map(
    lambda pairs: tuple(
        turn for ask, answer in pairs for turn in (ChatMessage("user", ask), ChatMessage("assistant", answer))
    )
)
rows = st.builds(TrainingRow, texts, texts, st.one_of(st.just(""), texts), turns)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _write(path: Path, *lines: bytes | str | dict[str, Any]) -> Path:
    encoded = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def _problems(path: Path) -> list[str]:
    with pytest.raises(InvalidData) as caught:
        read_rows(path)
    return str(caught.value).splitlines()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=6, unique=True))
def test_rows_come_back_as_they_were_written(tmp_path: Path, written: list[TrainingRow]) -> None:
    path = _write(tmp_path / "rows.jsonl", *(row.to_dict() for row in written))
    assert read_rows(path) == written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_named_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    try:
        read = read_rows(path)
    except InvalidData as error:
        assert str(path) in str(error)
    else:
        assert all(row.instruction.strip() and row.output.strip() for row in read)


@settings(deadline=None, max_examples=150)
@given(json_values)
def test_any_json_is_a_row_or_a_named_problem(value: Any) -> None:
    try:
        row = parse_row(json.dumps(value).encode())
    except InvalidData as error:
        assert str(error)
    else:
        assert row.instruction.strip()
        assert row.output.strip()


@settings(deadline=None, max_examples=100)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(data_files.KEYS, json_values)))
def test_any_object_with_the_right_keys_is_a_row_or_a_named_problem(value: dict[str, Any]) -> None:
    try:
        row = parse_row(json.dumps(value).encode())
    except InvalidData as error:
        assert str(error)
    else:
        assert row.output == value["output"]


def test_every_bad_row_is_reported_with_file_line_and_reason(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "rows.jsonl",
        GOOD,
        "{not json",
        "[1, 2]",
        {"instruction": "Hi"},
        {"instruction": " ", "output": 3, "extra": True},
        b'{"instruction": "Hi", "output": "caf\xe9"}',
        GOOD,
        '{"instruction": "a", "instruction": "b", "output": "c"}',
        '{"instruction": "half \\ud83d", "output": "c"}',
    )
    head, *lines = _problems(path)
    assert head == f"{path}: 8 bad rows; mend or remove them:"
    assert [int(line.removeprefix(f"{path}:").split(":")[0]) for line in lines] == [2, 3, 4, 5, 6, 7, 8, 9]
    for line, words in zip(
        lines,
        [
            "not JSON",
            "a JSON list",
            "output is missing",
            'unknown key "extra"; instruction is empty; output is a JSON number',
            "not UTF-8",
            "the same row stands in line 1 already",
            "a key stands there twice",
            "surrogate",
        ],
        strict=True,
    ):
        assert words in line


def test_rows_that_differ_in_their_history_alone_are_no_duplicates(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ahoy"}]
    path = _write(tmp_path / "rows.jsonl", GOOD, {**GOOD, "history": history}, {**GOOD, "input": "a deck"})
    read = read_rows(path)
    assert len(read) == 3
    assert read[1].history == (ChatMessage("user", "Hi"), ChatMessage("assistant", "Ahoy"))
    assert read[2].user_text == "Hello?\n\na deck"


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ("hello", "must be a list"),
        ([{"role": "user", "content": "Hi"}], "pairs"),
        ([{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}], "must have the role user"),
        ([{"role": "user", "content": ""}, {"role": "assistant", "content": "b"}], "history[0] has no text"),
        ([{"role": "user"}, {"role": "assistant", "content": "b"}], "not an object with role and content"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": 4}], "history[1] has no text"),
    ],
)
def test_a_history_that_is_no_conversation_is_refused(history: Any, words: str) -> None:
    with pytest.raises(InvalidData) as caught:
        parse_row(json.dumps({**GOOD, "history": history}).encode())
    assert words in str(caught.value)


def test_a_long_list_of_problems_is_cut_and_counted(tmp_path: Path) -> None:
    lines = _problems(_write(tmp_path / "rows.jsonl", *["nonsense"] * 73))
    assert len(lines) == 52
    assert lines[-1] == "... and 23 more"


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "", "   ")
    assert len(read_rows(path)) == 1


def test_an_enormous_text_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", {**GOOD, "output": "a" * 40_000})
    assert "output is 40000 characters long" in _problems(path)[1]


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(InvalidData, match="nested too deeply"):
        parse_row(b'{"instruction": ' + b"[" * 200_000)


def test_an_enormous_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.truncate(data_files.MAX_FILE_BYTES + 1)  # sparse: takes no space on the disk
    with pytest.raises(InvalidData, match="at most 256 MiB"):
        read_rows(path)


def test_an_empty_file_holds_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.touch()
    with pytest.raises(InvalidData, match="holds no rows"):
        read_rows(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        read_rows(tmp_path / "rows.jsonl")


def test_a_folder_is_no_file_of_rows(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="is a folder where a file is wanted"):
        read_rows(tmp_path)


def test_fewer_rows_are_taken_from_all_over_the_file() -> None:
    rows = make_rows("{0}, {1}", 10)
    assert [rows.index(row) for row in spread(rows, 4)] == [0, 2, 5, 7]
    assert spread(rows, 20) == rows
