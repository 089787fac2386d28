"""Makes a card's picture the small square PNG that a persona shows. Knows no cards."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from io import BytesIO

from bot.new_persona.png_file import PngFile

AVATAR_PX = 256
MAX_SIDE_PX = 8_192
MAX_PIXELS = 25_000_000
MAX_COPIED_BYTES = 2 << 20  # four of them go into one message of Discord's gallery, which takes 10 MiB
FACE_HEIGHT = 0.15  # cards are portraits: what is cut off above the square, as a share of all that is cut off
BROKEN = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, struct.error)  # Pillow, on broken pixels


def make_avatar(png: PngFile) -> tuple[bytes | None, str]:
    """The picture for the persona and a few words on it; None, and why, where it cannot be used.

    Pillow, which comes with the web and train extras, makes it small. Without it the picture is copied as it is, less
    the texts in its file.
    """
    if not 0 < png.width <= MAX_SIDE_PX or not 0 < png.height <= MAX_SIDE_PX or png.width * png.height > MAX_PIXELS:
        return None, f"its picture, because {png.width} by {png.height} pixels are too many"
    if find_spec("PIL") is None:
        if len(png.picture) > MAX_COPIED_BYTES:
            return None, f"its picture, larger than {MAX_COPIED_BYTES >> 20} MiB, because Pillow is missing"
        return png.picture, "its picture, in its own size, because Pillow is missing"
    try:
        return _squared(png.picture), f"its picture, as {AVATAR_PX} by {AVATAR_PX} pixels"
    except BROKEN as error:
        return None, f"its picture, which cannot be read ({type(error).__name__})"


def _squared(picture: bytes) -> bytes:
    from PIL import Image, ImageOps  # only where a card has a picture

    with Image.open(BytesIO(picture), formats=("PNG",)) as image:
        fitted = ImageOps.fit(image.convert("RGBA"), (AVATAR_PX, AVATAR_PX), centering=(0.5, FACE_HEIGHT))
    flat = Image.alpha_composite(Image.new("RGBA", fitted.size, "white"), fitted).convert("RGB")
    out = BytesIO()
    flat.quantize(256).save(out, "PNG", optimize=True)
    return out.getvalue()
