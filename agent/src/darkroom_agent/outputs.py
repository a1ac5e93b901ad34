"""Where outputs go in the bucket, and under what names.

`<prefix>/<id>/<id>-<4 random>-<n>.<ext>`, counted from 1, and `<prefix>/<id>/<id>-<4 random>.out` for the runtime's
whole answer. The extension follows the bytes, not a name that somebody gave them. What the task's owner should know
of a task that succeeded stands in the answer as `darkroom_warnings`.
"""

import asyncio
import secrets
import string
from dataclasses import dataclass

import filetype
from pydantic_core import to_json

from darkroom.ports import BlobStore
from darkroom.tasks import Task
from darkroom_agent.conversions import Conversions
from darkroom_agent.runtimes import Outputs
from darkroom_agent.threads import Threads

SIDE_BY_SIDE = 8
"""Uploads at once."""

_EXTENSIONS = {"jpeg": "jpg"}
_ALPHABET = string.ascii_lowercase + string.digits
_MARK_LENGTH = 4


@dataclass(frozen=True)
class Stored:
    """Links to what was uploaded."""

    images: tuple[str, ...]
    output_url: str


@dataclass(frozen=True)
class _File:
    link: str
    data: bytes
    content_type: str


def draw_mark() -> str:
    """Four random characters that keep the outputs of a task's attempts apart."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_MARK_LENGTH))


def name_type(data: bytes) -> tuple[str, str]:
    """The extension and the content type that follow from a file's first bytes; `bin` where they say nothing."""
    found = filetype.guess(data[:8192])
    if found is None:
        return "bin", "application/octet-stream"
    return _EXTENSIONS.get(found.extension, found.extension), found.mime


def name_files(location: str, task_id: str, mark: str, outputs: Outputs) -> tuple[list[_File], _File]:
    """Name what is to be uploaded: the images in order, and the answer."""
    stem = f"{location}/{task_id}-{mark}"
    images = []
    for number, data in enumerate(outputs.images, 1):
        extension, content_type = name_type(data)
        images.append(_File(f"{stem}-{number}.{extension}", data, content_type))
    answer = outputs.answer
    if outputs.warnings and isinstance(answer, dict):
        answer = answer | {"darkroom_warnings": outputs.warnings}
    return images, _File(f"{stem}.out", to_json(answer, inf_nan_mode="null"), "application/json")


class OutputStore:
    """Uploads outputs."""

    def __init__(self, blobs: BlobStore, threads: Threads) -> None:
        self._blobs = blobs
        self._threads = threads
        self._slots = asyncio.Semaphore(SIDE_BY_SIDE)
        self._conversions = Conversions()

    async def convert(self, task: Task, outputs: Outputs) -> Outputs:
        """The outputs in the form that the task asks for."""
        return await self._conversions.convert(outputs, task.output)

    def close(self) -> None:
        """Convert nothing more."""
        self._conversions.close()

    async def store(self, task: Task, outputs: Outputs) -> Stored:
        """Upload all, side by side, under names that nothing has yet.

        Raises:
            ClientError, BotoCoreError: S3 did not take one. What was uploaded stays, and nobody refers to it.
        """
        while True:
            images, answer = name_files(task.output_location, task.id, draw_mark(), outputs)
            puts = [asyncio.create_task(self._put(task, f), name=f"upload {f.link}") for f in (*images, answer)]
            try:
                await asyncio.gather(*puts)
            except FileExistsError:  # once in 36 to the power of 4, an earlier attempt drew the same mark
                continue
            finally:
                for put in puts:
                    put.cancel()
                await asyncio.gather(*puts, return_exceptions=True)
            return Stored(tuple(image.link for image in images), answer.link)

    async def _put(self, task: Task, file: _File) -> None:
        async with self._slots:
            await self._threads(self._blobs.create, file.link, file.data, file.content_type, {"task-id": task.id})
