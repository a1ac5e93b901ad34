"""Uploads: the links by which the API takes a file, and what to do with them."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from darkroom_cli.flows import Part
from darkroom_cli.tasks import Shown


class PartLink(Shown):
    """Where to put one part of a file; parts count from 1."""

    number: int
    url: str = Field(repr=False)
    size: int


class Ticket(Shown):
    """How to upload a file: one link for small ones, a link a part for large ones.

    `uri` is what a content names the file by, once it is there.
    """

    uri: str
    url: str | None = Field(default=None, repr=False)
    headers: dict[str, str] = Field(default_factory=dict)
    upload_id: str | None = None
    parts: tuple[PartLink, ...] = ()

    def stretches(self, path: Path) -> Iterator[tuple[PartLink, Part]]:
        """Each part's link, and what of the file goes there."""
        start = 0
        for link in self.parts:
            yield link, Part(path, start, link.size)
            start += link.size
