"""How many pixels an image's frames have together, and whether its file is whole, told without decoding it.

Only headers are read and what lies between them is stepped over, in the buffer itself: a file may have 64 MB.
Frames count because runtimes decode them all (ComfyUI makes one batch of them): a small file may need any memory.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xDA)})  # no length follows them
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"

_GIF_BLOCK = re.compile(rb"[,!;]")  # a frame, an extension, the end; decoders step over anything else
_GIF_HEAD, _GIF_FRAME = 13, 9

_BMP_OLD_HEADER = 12
_BMP_PLAIN = frozenset({0, 3, 6})  # rows as they are; the others are compressed


@dataclass(frozen=True)
class Shape:
    """An image's canvas, the pixels that its frames have together, and whether the file goes on to its end."""

    width: int
    height: int
    pixels: int
    whole: bool
    frames: int = 1


def measure(data: bytes | bytearray, mime: str) -> Shape:
    """What the file's headers say of its size. `mime` is one of `KINDS`.

    Raises:
        ValueError: they cannot be read; the message says why.
    """
    try:
        return _READERS[mime](data)
    except (struct.error, IndexError) as error:
        raise ValueError("is cut off within its header") from error


def _png(data: bytes | bytearray) -> Shape:
    """A PNG says in `acTL` how many frames it has; where it has more, what it has counts."""
    width = height = told = shown = alone = 0
    whole = False
    for name, at in _png_chunks(data):
        match name:
            case b"IHDR":
                wide, high = struct.unpack_from(">II", data, at)
                width, height = max(width, wide), max(height, high)
            case b"acTL":
                told = max(told, struct.unpack_from(">I", data, at)[0])
            case b"fcTL":
                shown += 1
            case b"IDAT" if not shown:
                alone = 1  # the image that is shown where frames are not known is none of them
            case b"IEND":
                whole = True
                break
    frames = max(told, shown) + alone
    return Shape(width, height, width * height * frames, whole, frames)


def _png_chunks(data: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    position = 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, position + 8
        position += length + 12


def _gif(data: bytes | bytearray) -> Shape:
    """A GIF's frames may be larger than its screen: decoders then enlarge that, and so does this."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = _GIF_HEAD + _gif_palette(flags)
    frames = pixels = 0
    while (block := _GIF_BLOCK.search(data, position)) and block[0] != b";":
        position = block.end()
        if block[0] == b",":
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, position)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            pixels += width * height
            position += _GIF_FRAME + _gif_palette(flags)
        position = _gif_skip(data, position + 1)  # a frame's code size, an extension's label
    return Shape(width, height, pixels or width * height, block is not None, max(1, frames))


def _gif_palette(flags: int) -> int:
    """How many bytes the palette has that the flags tell of."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_skip(data: bytes | bytearray, position: int) -> int:
    """Where the parts that begin here, each with its length before it, have ended."""
    end = len(data)
    while position < end and (length := data[position]):
        position += length + 1
    return position + 1


def _bmp(data: bytes | bytearray) -> Shape:
    size, offset, header = struct.unpack_from("<I4xII", data, 2)
    if header == _BMP_OLD_HEADER:
        width, height, bits = struct.unpack_from("<HH2xH", data, 18)
        compression = 0
    else:
        width, height, bits, compression = struct.unpack_from("<ii2xHI", data, 18)
    height = abs(height)  # negative where the first row is the top one
    rows = (width * bits + 31) // 32 * 4 * height
    needed = offset + rows if compression in _BMP_PLAIN else size
    return Shape(width, height, width * height, len(data) >= needed)


def _jpeg(data: bytes | bytearray) -> Shape:
    """A JPEG's end is looked for from its scan on: the header may hold a small image with an end of its own.

    Anything may stand behind it: phones put the seconds of video around a photograph there.
    """
    width = height = 0
    position = 2
    while True:
        if data[position] != 0xFF:  # noqa: PLR2004  a marker's first byte (ITU T.81, B.1.1.2)
            raise ValueError("is damaged within its header")
        marker = data[position + 1]
        if marker == _JPEG_SCAN:
            break
        if marker == 0xFF:  # noqa: PLR2004  markers may be padded
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
        length = 0 if marker in _JPEG_BARE else struct.unpack_from(">H", data, position + 2)[0]
        position += 2 + length
    return Shape(width, height, width * height, data.find(_JPEG_END, position) >= 0)


def _webp(data: bytes | bytearray) -> Shape:
    width, height = _webp_canvas(data)
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    frames = pixels = 0
    position = 12
    while position + 8 <= min(end, len(data)):
        name, length = struct.unpack_from("<4sI", data, position)
        if name == b"ANMF":
            frames += 1
            wide, high = _webp_pair(data, position + 14)
            pixels += max(width * height, wide * high)
        position += 8 + length + length % 2
    return Shape(width, height, pixels or width * height, len(data) >= end, max(1, frames))


def _webp_canvas(data: bytes | bytearray) -> tuple[int, int]:
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return _webp_pair(data, 24)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _webp_pair(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Width and height as 24 bits each, less one."""
    return 1 + int.from_bytes(data[at : at + 3], "little"), 1 + int.from_bytes(data[at + 3 : at + 6], "little")


_READERS: dict[str, Callable[[bytes | bytearray], Shape]] = {
    "image/png": _png,
    "image/apng": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
}

KINDS = frozenset(_READERS)
"""The media types of what runtimes read, all of them by Pillow."""
