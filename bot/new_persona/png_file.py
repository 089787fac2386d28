"""Takes a PNG file of a stranger's apart: its texts, and its picture alone. Decompresses nothing and decodes no pixel.

The format: https://www.w3.org/TR/png-3/#5DataRep.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import InvalidData

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
PICTURE_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
COMPRESSED_TEXT_CHUNKS = frozenset({b"zTXt", b"iTXt"})


@dataclass(frozen=True, slots=True)
class PngFile:
    """`texts` are the plain tEXt chunks by keyword in lower case, the first of each; `picture` is a PNG without any
    text. `width` and `height` are in pixels, as the header has them. `compressed` are the keywords of texts that were
    not read.
    """

    width: int
    height: int
    texts: dict[str, bytes]
    compressed: frozenset[str]
    picture: bytes


def read_png(content: bytes) -> PngFile:
    """Take a PNG apart. Raises InvalidData when it is cut off or damaged anywhere."""
    texts: dict[str, bytes] = {}
    compressed: set[str] = set()
    picture = [SIGNATURE]
    header = b""
    for kind, data, whole in _chunks(content):
        if not header:
            if kind != b"IHDR" or len(data) != 13:
                raise InvalidData("it does not begin with a PNG header")
            header = data
        if kind in PICTURE_CHUNKS:
            picture.append(whole)
        keyword, _, text = data.partition(b"\0")
        if kind == b"tEXt":
            texts.setdefault(keyword.decode("latin-1").lower(), text)
        elif kind in COMPRESSED_TEXT_CHUNKS:
            compressed.add(keyword.decode("latin-1").lower())
    width, height = struct.unpack(">II", header[:8])
    return PngFile(width, height, texts, frozenset(compressed), b"".join(picture))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Every chunk up to the end chunk: its kind, its data, and all its bytes."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if len(content) - position < 12:
            raise InvalidData("the picture is cut off")
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            raise InvalidData("the picture is cut off")
        data = content[position + 8 : end - 4]
        if zlib.crc32(data, zlib.crc32(kind)) != struct.unpack_from(">I", content, end - 4)[0]:
            raise InvalidData(f"the picture is damaged (the checksum at byte {end - 4} is wrong)")
        yield kind, data, content[position:end]
        if kind == b"IEND":
            return
        position = end
    raise InvalidData(f"the picture has more than {MAX_CHUNKS} parts")
