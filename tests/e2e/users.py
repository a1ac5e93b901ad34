"""What a user of a local cloud has at hand in a test."""

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from darkroom.aws.task_store import DynamoTaskStore
from darkroom.messages import TaskMessage
from darkroom.models import JsonObject
from darkroom.runtimes import Runtime
from darkroom.tasks import TaskKey
from darkroom_local.cloud import LocalCloud
from darkroom_local.demo.listeners import Listeners
from darkroom_local.processes import alive
from darkroom_local.runtimes import agent_environment

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = 40) -> T:
    """What `look` finds, soon after there is something; who has waited long looks less often."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        found = await look()
        if found is not None:
            return found
        await asyncio.sleep(0.1 + waited / 10)
    pytest.fail(f"waited {seconds} s in vain for {what}")


class User:
    """A caller with a key, who also listens to the completions topic and the bus."""

    def __init__(self, cloud: LocalCloud, session: aiohttp.ClientSession, logs: list[tuple[str, str]]) -> None:
        self.cloud = cloud
        self.logs = logs
        self._session = session
        self.client = cache(cloud.stack.client)  # to make one takes longer than a call
        self.agent_environment = cache(self._agent_environment)
        self.listeners = Listeners(cloud.stack)

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, JsonObject, CIMultiDictProxy[str]]:
        """One request; a body of bytes is sent as it is. `headers` replace the usual ones."""
        usual = {"Content-Type": "application/json", "x-api-key": self.cloud.api_key}
        text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        data = None if text is None else io.BytesIO(text)  # aiohttp warns of large bytes
        url = f"{self.cloud.api_url}{path}"
        async with self._session.request(
            method, url, data=data, headers=usual if headers is None else headers
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def submit(self, id_: str, type_: str = "text-to-image", **content: Any) -> JsonObject:
        """Submit a task in the guide's v1alpha2 form."""
        status, answer, _ = await self.call("POST", "/v1alpha2", v1alpha2(id_, type_, **content))
        assert status == 200, answer
        return answer

    async def task(self, id_: str) -> JsonObject:
        """The task as it stands."""
        _, body, _ = await self.call("GET", f"/v1/tasks/{id_}")
        return body

    async def reaches(self, id_: str, *statuses: str) -> JsonObject:
        """The task once it is in one of these statuses."""

        async def look() -> JsonObject | None:
            task = await self.task(id_)
            return task if task.get("status") in statuses else None

        return await eventually(look, f"{id_} to be {' or '.join(statuses)}")

    async def hears(self, id_: str) -> tuple[list[JsonObject], list[JsonObject]]:
        """All callback messages and end events of a task so far, once there is one of each."""

        async def look() -> tuple[list[JsonObject], list[JsonObject]] | None:
            await asyncio.to_thread(self.listeners.collect, id_, 1)
            callbacks, events = self.listeners.callbacks[id_], self.listeners.events[id_]
            return (callbacks, events) if callbacks and events else None

        return await eventually(look, f"word of {id_}")

    def image(self, link: str) -> bytes:
        """The file at an s3 link."""
        bucket, _, key = link.removeprefix("s3://").partition("/")
        body: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def registered(self, name: str = "sdruntime") -> JsonObject:
        """A runtime's registration."""
        path = f"{self.cloud.stack.outputs['RuntimesPath']}/{name}"
        entry: JsonObject = json.loads(self.client("ssm").get_parameter(Name=path)["Parameter"]["Value"])
        return entry

    def _agent_environment(self, name: str = "sdruntime") -> dict[str, str]:
        """What an agent of a runtime sees, which is at no address yet."""
        return agent_environment(self.cloud.stack, Runtime.model_validate(self.registered(name)), "")

    @property
    def key_id(self) -> str:
        """The id of the user's key: the owner of the user's tasks."""
        (api,) = self.cloud.stack.rest_apis
        return api.keys[self.cloud.api_key]

    def message(self, id_: str) -> str:
        """The message of a task, as its queue got it."""
        store = DynamoTaskStore(self.client("dynamodb"), self.cloud.stack.outputs["TasksTable"])
        task = store.get(TaskKey(self.key_id, id_))
        assert task is not None
        return TaskMessage.of(task).to_json()

    def send(self, url: str, body: str) -> None:
        """Put a message into a queue."""
        self.client("sqs").send_message(QueueUrl=url, MessageBody=body)


def v1alpha2(id_: str, type_: str = "text-to-image", **content: Any) -> JsonObject:
    """A request in the guide's form."""
    metadata = {"id": id_, "runtime": "sdruntime", "tasktype": type_, "prefix": "output", "context": {"abc": 123}}
    return {"task": {"metadata": metadata, "content": {"prompt": "A dog", "steps": 4} | content}}


def children(module: str, **environment: str) -> list[int]:
    """The process ids of the local clouds' processes that run a module with these variables."""
    return [
        pid
        for pid, order in alive().items()
        if order.module == module and environment.items() <= order.environment.items()
    ]
