"""Taking texts, prompts among them, out of image files without touching their pixels.

Runtimes write prompts and settings into text chunks of PNG, and into EXIF, XMP and comments of the others.
"""

import struct
from collections.abc import Callable, Iterator

_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND gAMA cHRM sRGB iCCP sBIT cICP mDCV cLLI bKGD tRNS pHYs hIST sPLT acTL fcTL fdAT".split()
)
"""What an image needs, its colours, its frames. Not texts, EXIF, times, nor what anybody made up for himself:
ComfyUI writes prompts into a chunk `comf`.
"""

_JPEG_TEXTS = frozenset({*range(0xE1, 0xE2), *range(0xE3, 0xEE), *range(0xEF, 0xF0), 0xFE})
"""APP1 (EXIF, XMP), APP3 to 13, APP15, comments. The colour profile (APP2) and Adobe's transform (APP14) stay."""

_SCAN = 0xDA
_WEBP_TEXTS = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS = 0x0C  # that there is EXIF, that there is XMP


class UnstrippableError(ValueError):
    """The file is of a kind whose texts cannot be taken out, or is damaged."""


def strip(data: bytes, mime: str) -> bytes:
    """The file without its texts.

    Raises:
        UnstrippableError: that cannot be done.
    """
    if mime not in _STRIPPERS:
        raise UnstrippableError
    try:
        return b"".join(_STRIPPERS[mime](data))
    except (IndexError, struct.error) as error:
        raise UnstrippableError from error


def _png(data: bytes) -> Iterator[bytes]:
    yield data[:8]
    position = 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name in _PNG_KEPT:
            yield data[position : position + length + 12]
        if name == b"IEND":  # what stands behind it is no part of the image
            break
        position += length + 12


def _jpeg(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    position = 2
    while data[position + 1] != _SCAN:
        (length,) = struct.unpack_from(">H", data, position + 2)
        if data[position + 1] not in _JPEG_TEXTS:
            yield data[position : position + length + 2]
        position += length + 2
    yield data[position:]


def _webp(data: bytes) -> Iterator[bytes]:
    kept = list(_webp_chunks(data))
    yield struct.pack("<4sI4s", b"RIFF", 4 + sum(map(len, kept)), b"WEBP")
    yield from kept


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    position = 12
    while position < len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        chunk = data[position : position + 8 + length + length % 2]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if name not in _WEBP_TEXTS:
            yield chunk
        position += 8 + length + length % 2


_STRIPPERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "image/png": _png,
    "image/apng": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}
