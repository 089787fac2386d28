"""Writes character cards for tests: real PNG files, made of nothing but struct and zlib, and JSON."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXAMPLES = """<START>
{{user}}: Who are you?
{{char}}: I am {{char}}, {{user}}. *smiles*
Sit down.
{{user}}: Why?
{{char}}: Because you look tired.
<START>
<USER>: Where am I?
<BOT>: In {{user}}'s own dream.
"""


def card_fields(**changes: Any) -> dict[str, Any]:
    """The fields of a card that leaves nothing to wish for."""
    return {
        "name": "Seraphina",
        "description": "{{char}} guards a glade. She found {{user}} at dawn.",
        "personality": "kind and wry",
        "scenario": "{{user}} wakes up in her house.",
        "first_mes": "*She looks at {{user}}.* Good morning, {{user}}!",
        "mes_example": EXAMPLES,
        **changes,
    }


def card_v2(**changes: Any) -> dict[str, Any]:
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": card_fields(**changes)}


def card_v3(**changes: Any) -> dict[str, Any]:
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": card_fields(**changes)}


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def text_chunk(keyword: str, value: Any) -> bytes:
    """A card in a tEXt chunk, as the card makers write it; bytes are taken as they are."""
    text = value if isinstance(value, bytes) else base64.b64encode(json.dumps(value).encode())
    return chunk(b"tEXt", keyword.encode() + b"\0" + text)


def png(*chunks: bytes, width: int = 40, height: int = 60, pixels: bytes | None = None) -> bytes:
    """A picture, upper half red and lower half blue, with these chunks in it."""
    if pixels is None:
        rows = [b"\0" + (b"\xff\0\0" if row < height // 2 else b"\0\0\xff") * width for row in range(height)]
        pixels = zlib.compress(b"".join(rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGNATURE + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND")


def write_card(path: Path, value: Any) -> Path:
    """A card's file: a PNG where the name ends so (spec v3 under both keywords), else JSON."""
    if path.suffix != ".png":
        path.write_text(json.dumps(value), encoding="utf-8")
        return path
    keywords = ("chara", "ccv3") if value["spec"] == "chara_card_v3" else ("chara",)
    path.write_bytes(png(*(text_chunk(keyword, value) for keyword in keywords)))
    return path
