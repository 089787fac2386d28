from __future__ import annotations

import random
import sys
import zlib
from io import BytesIO

import pytest
from PIL import Image

from bot.new_persona.avatar import make_avatar
from bot.new_persona.png_file import read_png
from tests.examples.character_cards import chunk, png


def test_a_portrait_becomes_a_small_square_that_shows_its_upper_part():
    avatar, about = make_avatar(read_png(png(width=100, height=300)))
    assert avatar is not None and len(avatar) < 5_000
    with Image.open(BytesIO(avatar)) as image:
        assert (image.format, image.size) == ("PNG", (256, 256))
        assert image.convert("RGB").getpixel((128, 5)) == (255, 0, 0)
    assert about == "its picture, as 256 by 256 pixels"


def test_without_pillow_the_picture_is_copied_without_its_texts(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    avatar, about = make_avatar(read_png(png(chunk(b"tEXt", b"chara\0e30="))))
    assert avatar == png()
    assert "Pillow is missing" in about
    noise = random.Random(0).randbytes(3 << 20)
    avatar, about = make_avatar(read_png(png(pixels=noise)))
    assert (avatar, about) == (None, "its picture, larger than 2 MiB, because Pillow is missing")


@pytest.mark.parametrize(
    "pixels",
    [b"", b"no zlib", zlib.compress(b"\0\0\0"), zlib.compress(b"\x09" * 10_000), zlib.compress(bytes(50_000_000))],
)
def test_broken_pixels_and_bombs_cost_at_most_the_picture(pixels):
    avatar, about = make_avatar(read_png(png(pixels=pixels)))
    assert about.startswith("its picture")
    assert avatar is None or len(avatar) < 5_000


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 2**31), (65_535, 65_535), (8_000, 8_000)])
def test_a_picture_that_claims_too_many_pixels_is_not_opened(width, height):
    avatar, about = make_avatar(read_png(png(width=width, height=height, pixels=b"")))
    assert avatar is None
    assert f"{width} by {height} pixels" in about
