"""Request bodies that may hold large images as base64, without copies of them in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from pydantic_core import to_json

from darkroom_agent.encodings import encode

LARGE = 1024 * 1024
"""Characters from which a text is sent piece by piece."""

_STEP = 768 * 1024  # bytes that are encoded at a time: a multiple of three, so that the pieces fit together


@dataclass(frozen=True)
class Base64:
    """A file that stands in a body as base64, encoded while it is sent."""

    data: bytes | bytearray

    def __len__(self) -> int:
        return 4 * -(-len(self.data) // 3)


Piece: TypeAlias = bytes | str | Base64


class JsonBody(Payload):
    """A value as JSON, made bit by bit as it is sent. In it may stand files (`Base64`).

    A JSON library makes two or three copies of each text, which is a lot where one is an image of 64 MB. So files
    and large texts are left out at first, and then sent in their places. Texts that would need escapes are no
    base64, and stay with the others.
    """

    def __init__(self, value: object) -> None:
        super().__init__(None, content_type="application/json")
        self._pieces = _split(value)
        self._size = sum(map(len, self._pieces))

    def chunks(self) -> Iterator[bytes]:
        """The body, in chunks of about a megabyte."""
        for piece in self._pieces:
            yield from _encode(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """See `Payload.decode`."""
        return b"".join(self.chunks()).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """See `Payload.write`."""
        for chunk in self.chunks():
            await writer.write(chunk)


def _split(value: object) -> list[Piece]:
    mark = uuid4().hex
    left_out: list[str | Base64] = []
    small = to_json(_without_large(value, mark, left_out))
    pieces: list[Piece] = []
    for part, large in zip(small.split(f'"{mark}"'.encode()), [*left_out, None], strict=True):
        pieces += [part] if large is None else [part + b'"', large, b'"']
    return pieces


def _without_large(value: Any, mark: str, large: list[str | Base64]) -> Any:  # noqa: ANN401  JSON is anything
    if isinstance(value, Base64) or (isinstance(value, str) and len(value) >= LARGE and _is_plain(value)):
        large.append(value)
        return mark
    if isinstance(value, list):
        return [_without_large(item, mark, large) for item in value]
    if isinstance(value, dict):
        return {name: _without_large(item, mark, large) for name, item in value.items()}
    return value


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _encode(piece: Piece) -> Iterator[bytes]:
    if isinstance(piece, bytes):
        yield piece
    elif isinstance(piece, str):
        yield from (piece[start : start + LARGE].encode("ascii") for start in range(0, len(piece), LARGE))
    else:
        view = memoryview(piece.data)
        for start in range(0, len(view), _STEP):
            yield encode(view[start : start + _STEP])
