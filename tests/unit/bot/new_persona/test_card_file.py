from __future__ import annotations

import json
import os
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.new_persona.card_file import MAX_FILE_BYTES, read_card_file
from core.errors import InvalidData, NotFound, PersonasError
from tests.examples.character_cards import SIGNATURE, card_v2, card_v3, chunk, png, text_chunk, write_card


@pytest.mark.parametrize(("file", "card"), [("a.png", card_v2()), ("a.png", card_v3()), ("a.json", card_v2())])
def test_a_card_is_read_from_a_png_and_from_json(tmp_path, file, card):
    found = read_card_file(write_card(tmp_path / file, card))
    assert found.value == card
    assert (found.png is None) == file.endswith("json")


def test_where_a_png_holds_both_specs_the_third_is_taken(tmp_path):
    path = tmp_path / "both.png"
    path.write_bytes(png(text_chunk("chara", card_v2(name="Old")), text_chunk("ccv3", card_v3(name="New"))))
    assert read_card_file(path).value["data"]["name"] == "New"


def test_the_name_of_the_file_and_a_byte_order_mark_do_not_matter(tmp_path):
    (tmp_path / "card.txt").write_bytes(b"\xef\xbb\xbf" + json.dumps(card_v2()).encode())
    (tmp_path / "card.json").write_bytes(png(text_chunk("Chara", card_v2())))
    assert read_card_file(tmp_path / "card.txt").value == read_card_file(tmp_path / "card.json").value == card_v2()


def test_the_picture_is_kept_without_any_text(tmp_path):
    path = tmp_path / "card.png"
    path.write_bytes(png(text_chunk("chara", card_v2()), chunk(b"eXIf", b"where I live"), chunk(b"iCCP", b"a\0\0")))
    found = read_card_file(path).png
    assert found is not None
    assert (found.width, found.height) == (40, 60)
    assert found.picture == png()


WHOLE = png(text_chunk("chara", card_v2()))
BOMB = zlib.compress(b"0" * 50_000_000)

BAD_FILES = {
    "empty": (b"", "not JSON"),
    "no card in the picture": (png(), "without a card"),
    "cut off in the pixels": (WHOLE[:-20], "cut off"),
    "cut off in the text": (WHOLE[:200], "cut off"),
    "no end": (WHOLE[:-12], "cut off"),
    "only the signature": (SIGNATURE, "cut off"),
    "damaged": (WHOLE.replace(b"chara\0", b"chaRa\0"), "checksum"),
    "length beyond the file": (WHOLE[:33] + struct.pack(">I", 2**31) + WHOLE[37:], "cut off"),
    "no header": (SIGNATURE + chunk(b"IEND"), "PNG header"),
    "short header": (SIGNATURE + chunk(b"IHDR", b"\0") + chunk(b"IEND"), "PNG header"),
    "chunks without end": (SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"teSt") * 100_001, "more than 100000 parts"),
    "compressed bomb": (png(chunk(b"zTXt", b"chara\0\0" + BOMB)), "not a plain tEXt chunk"),
    "international bomb": (png(chunk(b"iTXt", b"ccv3\0\1\0\0\0" + BOMB)), "not a plain tEXt chunk"),
    "broken base64": (png(text_chunk("chara", b"e30=%%%")), '"chara" in it is not base64'),
    "base64 cut off": (png(text_chunk("ccv3", b"e30")), '"ccv3" in it is not base64'),
    "base64 of no JSON": (png(text_chunk("chara", b"AAAA")), "not JSON"),
    "base64 of no text": (png(text_chunk("chara", b"////")), "neither a PNG picture nor UTF-8 text"),
    "a list": (b"[1, 2]", "not an object"),
    "nested too deeply": (b'{"a":' * 100_000, "nested too deeply"),
    "endless number": (b'{"name": ' + b"9" * 5_000 + b"}", "not JSON"),
    "a photo": (b"\xff\xd8\xff\xe0JFIF", "neither a PNG picture nor UTF-8 text"),
    "an archive": (b"PK\x03\x04charx", "CHARX"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_sentence_that_names_it_and_what_is_wrong(tmp_path, name):
    content, part = BAD_FILES[name]
    (tmp_path / "card").write_bytes(content)
    with pytest.raises(InvalidData, match="cannot be taken as a character card") as caught:
        read_card_file(tmp_path / "card")
    sentence = str(caught.value)
    assert str(tmp_path / "card") in sentence and part in sentence
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 400


def test_a_file_that_is_too_large_missing_a_folder_or_a_pipe_is_refused_unread(tmp_path):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InvalidData, match="larger than 16 MiB"):
        read_card_file(tmp_path / "large")
    with pytest.raises(NotFound, match="missing is missing"):
        read_card_file(tmp_path / "missing")
    with pytest.raises(InvalidData, match="is a folder where a file is wanted"):
        read_card_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidData, match="is a pipe, a socket or a device"):
        read_card_file(tmp_path / "pipe")
    with pytest.raises(InvalidData, match="cannot be read"):
        read_card_file(tmp_path / ("x" * 300))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255), length=st.integers(0, len(WHOLE)))
def test_no_damage_to_a_card_ends_in_anything_but_a_sentence(tmp_path, position, byte, length):
    damaged = bytearray(WHOLE)
    damaged[position] = byte
    (tmp_path / "card.png").write_bytes(damaged[:length])
    try:
        read_card_file(tmp_path / "card.png")
    except PersonasError as error:
        assert str(error).endswith(".")
