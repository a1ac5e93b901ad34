"""What can be told about an image file by walking through its headers, without decoding it."""

import io

import filetype

from darkroom_agent.frames import KINDS, Shape, measure

MAX_PIXELS = 89_478_485
"""Larger images are refused: beyond this the runtime's own decoder (Pillow) warns of a decompression bomb.

All frames of an animated image count together: runtimes hold them at once.
"""

_HEAD = 8192  # bytes that tell a file's kind
_TEXTS = 64 * 1024  # bytes of texts that an image may hold beside its pixels


class PictureError(ValueError):
    """The bytes are no file that a runtime can use; the message says why."""


def check_picture(data: bytes | bytearray) -> str:
    """Look whether the bytes are a whole image of a reasonable size, and return its content type.

    Raises:
        PictureError: they are not.
    """
    found = filetype.guess(bytes(data[:_HEAD]))
    if found is None or found.mime not in KINDS:
        kind = found.mime if found else "of no kind that is known"
        raise PictureError(f"is no image that can be used (it is {kind})")
    mime: str = found.mime
    try:
        shape = measure(data, mime)
    except ValueError as error:
        raise PictureError(str(error)) from error
    _check_shape(shape)
    return mime


def _check_shape(shape: Shape) -> None:
    if shape.pixels > MAX_PIXELS:
        frames = f"{shape.frames} frames of " if shape.frames > 1 else ""
        size = f"{frames}{shape.width} x {shape.height}"
        raise PictureError(f"has {size} pixels; at most {MAX_PIXELS} pixels are taken")
    if not shape.whole:
        raise PictureError("is cut off")
    if shape.width <= 0 or shape.height <= 0:
        raise PictureError("has no pixels")


def is_black(data: bytes) -> bool:
    """Whether the bytes are an image of nothing but black, and of one frame.

    Such an image is small as a file, so others are told by their size and not decoded.
    """
    try:
        found = filetype.guess(data[:_HEAD])
        if found is None or found.mime not in KINDS:
            return False
        shape = measure(data, found.mime)
        small = len(data) <= shape.pixels / 20 + _TEXTS
        if shape.frames > 1 or not small or not 0 < shape.pixels <= MAX_PIXELS:
            return False
        from PIL import Image  # noqa: PLC0415  it is loaded by those who need it only

        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB").getbbox() is None
    except (OSError, ValueError, SyntaxError):  # no image, as Pillow says it
        return False
