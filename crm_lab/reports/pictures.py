"""Pictures of a page: as small as they can be without looking different."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

SMALL_BYTES = 20_000
"""Pictures up to this size stay as they are."""
_COLOURS = 256
_PIXEL_LIMIT = 40_000_000


def smaller_png(png: bytes) -> bytes:
    """Give a PNG with a palette of 256 colours on white, where that is smaller.

    Charts have few colours; their edges look the same. A file that is no picture, or too large a
    one to unpack, is given back as it is.

    Parameters
    ----------
    png : bytes
        The file.
    """
    if len(png) <= SMALL_BYTES:
        return png
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            if picture.width * picture.height > _PIXEL_LIMIT:
                return png
            seen = picture.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return png
    plate = Image.new("RGBA", seen.size, "white")
    plate.alpha_composite(seen)
    reduced = plate.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    out = io.BytesIO()
    reduced.save(out, format="PNG", optimize=True)
    return min((png, out.getvalue()), key=len)
