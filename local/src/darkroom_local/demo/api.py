"""The demo as a caller of the API: plain HTTP with a key."""

from typing import Self

import aiohttp

from darkroom.models import JsonObject
from darkroom_local.demo.requests import DemoTask


class Caller:
    """Speaks to the API while entered."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = {"x-api-key": key}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def submit(self, task: DemoTask, *, with_key: bool = True) -> tuple[int, JsonObject]:
        """Post a request; returns the answer's status and body."""
        headers = self._key if with_key else {}
        async with self._session.post(f"{self._url}/{task.version}", json=task.body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def look(self, task: DemoTask) -> JsonObject | None:
        """The task as it stands; None where the API asks for patience."""
        async with self._session.get(f"{self._url}/v1/tasks/{task.id}", headers=self._key) as answer:
            body: JsonObject = await answer.json(content_type=None)
            return body if answer.ok else None
