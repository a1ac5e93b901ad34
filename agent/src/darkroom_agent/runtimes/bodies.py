"""Request bodies that may hold large images as base64, without many copies of them in memory."""

import io
from typing import Any
from uuid import uuid4

from pydantic_core import to_json

LARGE = 1024 * 1024
"""Characters from which a text is written piece by piece."""


def json_file(value: object) -> io.BytesIO:
    """The value as JSON in a file object, which aiohttp sends bit by bit.

    A JSON library makes two or three copies of each text, which is a lot where one is an image of 64 MB. So large
    texts are left out at first, and then written in their places. Those that would need escapes are no base64, and
    stay with the others.
    """
    mark = uuid4().hex
    large: list[str] = []
    whole = to_json(_without_large(value, mark, large))
    file = io.BytesIO()
    for part in whole.split(f'"{mark}"'.encode()):
        file.write(part)
        if large:
            _write(file, large.pop(0))
    file.seek(0)
    return file


def _without_large(value: Any, mark: str, large: list[str]) -> Any:  # noqa: ANN401  JSON is anything
    if isinstance(value, str) and len(value) >= LARGE and _is_plain(value):
        large.append(value)
        return mark
    if isinstance(value, list):
        return [_without_large(item, mark, large) for item in value]
    if isinstance(value, dict):
        return {name: _without_large(item, mark, large) for name, item in value.items()}
    return value


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _write(file: io.BytesIO, text: str) -> None:
    file.write(b'"')
    file.writelines(text[start : start + LARGE].encode("ascii") for start in range(0, len(text), LARGE))
    file.write(b'"')
