"""What can be told about an image file by looking at its first and last bytes, without decoding it."""

import io
import struct
from collections.abc import Callable

import filetype

MAX_PIXELS = 89_478_485
"""Larger images are refused: beyond this the runtime's own decoder (Pillow) warns of a decompression bomb."""

_TEXTS = 64 * 1024  # bytes of texts that an image may hold beside its pixels

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


class PictureError(ValueError):
    """The bytes are no image that a runtime can use; the message says why."""


def check_picture(data: bytes | bytearray) -> str:
    """Look whether the bytes are a whole image of a reasonable size, and return its content type.

    Raises:
        PictureError: they are not.
    """
    found = filetype.guess(bytes(data[:8192]))
    if found is None or found.mime not in _SIZES:
        kind = found.mime if found else "of no kind that is known"
        raise PictureError(f"is no image that can be used (it is {kind})")
    try:
        width, height = _SIZES[found.mime](data)
    except (struct.error, IndexError) as error:
        raise PictureError("is cut off within its header") from error
    if width <= 0 or height <= 0:
        raise PictureError("has no pixels")
    if width * height > MAX_PIXELS:
        raise PictureError(f"has {width} x {height} pixels; at most {MAX_PIXELS} are taken")
    if not _ENDS[found.mime](data):
        raise PictureError("is cut off")
    mime: str = found.mime
    return mime


def is_black(data: bytes) -> bool:
    """Whether the bytes are an image of nothing but black.

    Such an image is small as a file, so others are told by their size and not decoded.
    """
    try:
        found = filetype.guess(data[:8192])
        width, height = _SIZES[found.mime](data) if found is not None else (0, 0)
        if not 0 < width * height <= MAX_PIXELS or len(data) > width * height / 20 + _TEXTS:
            return False
        from PIL import Image  # noqa: PLC0415  it is loaded by those who need it only

        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB").getbbox() is None
    except (KeyError, IndexError, struct.error, OSError, ValueError, SyntaxError):  # no image, as Pillow says it
        return False


def _png(data: bytes | bytearray) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes | bytearray) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes | bytearray) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _jpeg(data: bytes | bytearray) -> tuple[int, int]:
    position = 2
    while True:
        if data[position] != 0xFF:  # noqa: PLR2004  a marker's first byte (ITU T.81, B.1.1.2)
            raise PictureError("is damaged within its header")
        marker = data[position + 1]
        if marker == 0xFF:  # noqa: PLR2004  markers may be padded
            position += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        else:
            length = 0 if marker in _JPEG_BARE else struct.unpack_from(">H", data, position + 2)[0]
            position += 2 + length


def _webp(data: bytes | bytearray) -> tuple[int, int]:
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


_SIZES: dict[str, Callable[[bytes | bytearray], tuple[int, int]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
}

_TAIL = 4096  # some writers put a little of their own behind the end

_ENDS: dict[str, Callable[[bytes | bytearray], bool]] = {
    "image/png": lambda data: b"IEND" in data[-_TAIL:],
    "image/jpeg": lambda data: b"\xff\xd9" in data[-_TAIL:],
    "image/gif": lambda data: data[-_TAIL:].rstrip(b"\0").endswith(b"\x3b"),
    "image/bmp": lambda _: True,
    "image/webp": lambda data: len(data) >= 8 + struct.unpack_from("<I", data, 4)[0],
}
