"""Gets the JSON out of a character card's file, which a stranger made: a PNG with the card in it, or JSON.

The formats: https://github.com/malfoyslastname/character-card-spec-v2 and
https://github.com/kwaroran/character-card-spec-v3. Knows no fields.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.new_persona.png_file import SIGNATURE, PngFile, read_png
from core.errors import InvalidData, NotFound
from core.outside_files import parse_json, read_bytes

MAX_FILE_BYTES = 16 << 20
CARD_KEYWORDS = ("ccv3", "chara")  # v3 first: a card that is both has the older one for older programs
EXPORT = "export the card once more, as PNG or JSON"


@dataclass(frozen=True, slots=True)
class CardFile:
    """What a card's file holds: the card as JSON says it, and the PNG it was in."""

    value: dict[str, Any]
    png: PngFile | None


def read_card_file(path: Path) -> CardFile:
    """Read a card of at most `MAX_FILE_BYTES`. Raises NotFound, and InvalidData that says what is wrong."""
    content = _content(path)
    try:
        if not content.startswith(SIGNATURE):
            return CardFile(_object(content, "it"), None)
        png = read_png(content)
        return CardFile(_object(_embedded(png), "the card in it"), png)
    except InvalidData as error:
        raise InvalidData(f"{path} cannot be taken as a character card: {error}; {EXPORT}.") from error


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, max_bytes=MAX_FILE_BYTES)
    except (InvalidData, NotFound) as error:
        sentence = str(error).rstrip(".")
        raise type(error)(f"{sentence}; give the path of a character card, a PNG or JSON file.") from error


def _embedded(png: PngFile) -> bytes:
    for keyword in CARD_KEYWORDS:
        if keyword in png.texts:
            try:
                return base64.b64decode(b"".join(png.texts[keyword].split()), validate=True)
            except binascii.Error as error:
                raise InvalidData(f'the text "{keyword}" in it is not base64') from error
    for keyword in CARD_KEYWORDS:
        if keyword in png.compressed:
            raise InvalidData(f'the text "{keyword}" in it is not a plain tEXt chunk, which the format asks for')
    raise InvalidData("it is a picture without a card in it")


def _object(content: bytes, what: str) -> dict[str, Any]:
    if content.startswith(b"PK\3\4"):
        raise InvalidData("it is an archive (CHARX), which is not read")
    try:
        content.decode()
        value = parse_json(content)
    except UnicodeDecodeError as error:
        raise InvalidData(f"{what} is neither a PNG picture nor UTF-8 text") from error
    except InvalidData as error:
        raise InvalidData(f"{what} is {error}") from error
    if not isinstance(value, dict):
        raise InvalidData(f"{what} is JSON, but not an object with a name and a description")
    return value
