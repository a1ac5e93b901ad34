"""From a task's content to what the runtime takes: links become base64, or files beside it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import filetype
from pydantic_core import from_json

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom.ports import BlobStore
from darkroom.tasks import Task
from darkroom_agent.downloads import Budget, Downloads
from darkroom_agent.encodings import encode
from darkroom_agent.faults import AWS_FAULTS, FailedForNowError, describe
from darkroom_agent.flags import cancel
from darkroom_agent.links import Link, Place, find_links, replace
from darkroom_agent.pictures import PictureError, check_picture
from darkroom_agent.recordings import check_recording
from darkroom_agent.runtimes import IMAGES_ENCODED, InputRules
from darkroom_agent.threads import Threads

SIDE_BY_SIDE = 4
"""Downloads at once, of one task."""

_QUICKLY_CHECKED = 1024 * 1024  # a larger file may be made of so many parts that others had to wait


@dataclass(frozen=True)
class Prepared:
    """A content as the runtime takes it, with the files by the places of their links where it wants them so."""

    content: JsonObject
    files: Mapping[Place, bytes | bytearray] = field(default_factory=dict)


@dataclass(frozen=True)
class InputLimits:
    """How many links one task may have, and how many seconds all its downloads may take together."""

    count: int
    seconds: float


def check_file(data: bytes | bytearray, kinds: frozenset[str]) -> None:
    """Look whether the bytes are a whole file of one of the kinds; images are looked at more closely.

    Raises:
        PictureError: they are not.
    """
    found = filetype.guess(bytes(data[:8192]))
    kind = found.mime.partition("/")[0] if found is not None else "image"
    if kind == "image" or kind not in kinds:
        check_picture(data)
    else:
        check_recording(data)


class Inputs:
    """Prepares contents, as the runtime's rules say."""

    def __init__(
        self,
        blobs: BlobStore,
        threads: Threads,
        downloads: Downloads,
        limits: InputLimits,
        rules: InputRules = IMAGES_ENCODED,
    ) -> None:
        self._blobs = blobs
        self._threads = threads
        self._downloads = downloads
        self._limits = limits
        self._rules = rules

    async def prepare(self, task: Task) -> Prepared:
        """The task's content with what its links lead to.

        Raises:
            TaskFailedError: a link cannot be fetched, or leads to no image; the message names the field.
            TaskInterruptedError: S3 did not give the content itself.
        """
        content = await self._content(task)
        links = find_links(content, self._rules.words)
        if len(links) > self._limits.count:
            message = f"the content holds {len(links)} links; at most {self._limits.count} are taken"
            raise TaskFailedError("too_many_inputs", message)
        places: defaultdict[str, list[Link]] = defaultdict(list)
        for link in links:
            places[link.url].append(link)
        fetched = await self._fetch_all(list(places.values())) if places else []
        found = {link.path: f for same, f in zip(places.values(), fetched, strict=True) for link in same}
        texts = {path: data for path, data in found.items() if isinstance(data, str)}
        files = {path: data for path, data in found.items() if not isinstance(data, str)}
        return Prepared(replace(content, texts), files)

    async def _content(self, task: Task) -> JsonObject:
        if task.content is not None:
            return task.content
        if task.content_ref is None:
            raise TaskFailedError("content_missing", "the task has no content")
        try:
            data = await self._threads(self._blobs.get, task.content_ref)
        except FileNotFoundError as error:
            raise TaskFailedError("content_missing", "the task's content is no longer there") from error
        except AWS_FAULTS as error:
            raise TaskInterruptedError("content_unavailable", describe(error)) from error
        content: JsonObject = from_json(data)
        return content

    async def _fetch_all(self, places: list[list[Link]]) -> list[str | bytes | bytearray]:
        """What each link leads to, fetched side by side; links to the same file come together."""
        budget = self._downloads.budget()
        slots = asyncio.Semaphore(SIDE_BY_SIDE)
        fetches = [
            asyncio.create_task(self._fetch(links, budget, slots), name=f"fetch {links[0].place}")
            for links in places
        ]
        try:
            done, late = await asyncio.wait(
                fetches, timeout=self._limits.seconds, return_when=asyncio.FIRST_EXCEPTION
            )
            found = [fetch.result() for fetch in fetches if fetch in done]
            for links, fetch in zip(places, fetches, strict=True):
                if fetch in late:
                    message = f"{links[0].place}: the task's inputs did not come within {self._limits.seconds:g} s"
                    raise FailedForNowError("input_unavailable", message)
            return found
        finally:
            await cancel(*fetches)

    async def _fetch(self, links: list[Link], budget: Budget, slots: asyncio.Semaphore) -> str | bytes | bytearray:
        async with slots:
            link = links[0]
            data = await self._downloads.fetch(link, budget)
            budget.take(link, len(data) * (len(links) - 1))  # the runtime gets it for each
            try:
                if len(data) < _QUICKLY_CHECKED:
                    check_file(data, self._rules.kinds)
                else:
                    await self._threads(check_file, data, self._rules.kinds)
            except PictureError as error:
                raise TaskFailedError("input_invalid", f"{link.place}: {error}") from error
            if not self._rules.encoded:
                return data
            encoded = encode(data)
            del data  # of a large file there are two copies at a time, not three
            return encoded.decode("ascii")
