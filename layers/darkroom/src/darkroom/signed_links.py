"""Links that carry their own permission: what putting files by them takes."""

from datetime import timedelta
from typing import NamedTuple

LIFETIME = timedelta(hours=1)
"""How long links hold."""


class SignedPut(NamedTuple):
    """Where to put a file, and the headers that must come with it."""

    url: str
    headers: dict[str, str]


class SignedParts(NamedTuple):
    """An upload in parts that has begun, and where to put them, in order."""

    upload_id: str
    urls: tuple[str, ...]
