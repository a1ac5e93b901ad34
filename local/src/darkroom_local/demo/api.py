"""The demo as a caller of the API: what it asks for as plain HTTP, and what became of it by the client."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import aiohttp

from darkroom.models import JsonObject
from darkroom_local.demo.requests import DemoTask


class ShownTask(Protocol):
    """A task as a client shows it."""

    def as_json(self) -> JsonObject:
        """What the API said."""


class TaskClient(Protocol):
    """What the demo needs of a client; `darkroom_cli.AsyncClient` has it."""

    async def get(self, id_: str) -> ShownTask:
        """A task as it stands."""

    def list(self, *, pipeline: str) -> AsyncIterator[ShownTask]:
        """The tasks of a pipeline, newest first."""

    async def download(self, task: str, folder: Path) -> tuple[Path, ...]:
        """Fetch a task's images."""


Connect: TypeAlias = Callable[[str, str], AbstractAsyncContextManager[TaskClient]]
"""Makes a client of an API's address and a key."""


class Caller:
    """Speaks to the API while entered."""

    def __init__(self, url: str, key: str, connect: Connect) -> None:
        self._url = url
        self._key = {"x-api-key": key}
        self._connected = connect(url, key)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._client = await self._stack.enter_async_context(self._connected)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def submit(self, task: DemoTask, *, with_key: bool = True) -> tuple[int, JsonObject]:
        """Post a request; returns the answer's status and body."""
        headers = self._key if with_key else {}
        async with self._session.post(f"{self._url}/{task.version}", json=task.body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def look(self, task: DemoTask) -> JsonObject:
        """The task as it stands."""
        return (await self._client.get(task.id)).as_json()

    async def run(self, id_: str, document: JsonObject) -> JsonObject:
        """Have a pipeline run; returns it as it stands, or what is wrong with it."""
        url, body = f"{self._url}/v1/pipelines", document | {"id": id_}
        async with self._session.post(url, json=body, headers=self._key) as answer:
            return await _read(answer)

    async def follow(self, id_: str) -> JsonObject:
        """The pipeline as it stands."""
        async with self._session.get(f"{self._url}/v1/pipelines/{id_}", headers=self._key) as answer:
            return await _read(answer)

    async def tasks_of(self, id_: str) -> list[JsonObject]:
        """The tasks of a pipeline."""
        return [task.as_json() async for task in self._client.list(pipeline=id_)]

    async def download(self, id_: str, folder: Path) -> list[Path]:
        """Fetch a task's images."""
        return list(await self._client.download(id_, folder))


async def _read(answer: aiohttp.ClientResponse) -> JsonObject:
    read: JsonObject = await answer.json(content_type=None)
    return read
