"""The template's event source mappings and schedules: what invokes functions when nobody calls them."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from darkroom_local.events.queues import QueueSource
from darkroom_local.events.streams import StreamSource
from darkroom_local.functions.destinations import Destinations
from darkroom_local.functions.invocations import ClientFactory, Invoke, Log
from darkroom_local.resources import EventSource, Schedule
from darkroom_local.supervision import supervise

THREADS_PER_SOURCE = 2  # one in a long poll, one deleting


class EventSources:
    """Pumps events into functions while entered; entering returns when no later event can be missed.

    Each source is one named task, which is started again if it dies. `invoke` invokes a function
    (`FunctionHost.invoke`), `client` gives boto3 clients of the emulated AWS, `log` gets what goes wrong.
    `account` and `region` appear in the events of schedules.
    """

    def __init__(  # noqa: PLR0913 - plain values, named where they are given
        self,
        sources: Iterable[EventSource],
        schedules: Iterable[Schedule] = (),
        *,
        invoke: Invoke,
        client: ClientFactory,
        log: Log,
        account: str = "123456789012",
        region: str = "us-east-1",
    ) -> None:
        self._sources = tuple(sources)
        self._schedules = tuple(schedules)
        self._invoke = invoke
        self._client = client
        self._log = log
        self._account = account
        self._region = region
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        # A pool of its own: the pollers would fill the event loop's, which everybody else uses too.
        threads = ThreadPoolExecutor(len(self._sources) * THREADS_PER_SOURCE + 1, "event-source")
        self._stack.push_async_callback(asyncio.to_thread, threads.shutdown)
        try:
            pollers = self._pollers(threads)
            for poller in pollers:
                await poller.open()
        except BaseException:
            await self._stack.aclose()
            raise
        self._stack.push_async_callback(self._cancel)
        for poller in pollers:
            self._start(poller.name, poller.run)
        for index, schedule in enumerate(self._schedules):
            self._start(f"schedule-{index}-to-{schedule.function_name}", partial(self._keep_time, schedule))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _pollers(self, threads: ThreadPoolExecutor) -> list[QueueSource | StreamSource]:
        async def call(method: Callable[..., Any], **arguments: Any) -> Any:  # noqa: ANN401 - as boto3 has it
            return await asyncio.get_running_loop().run_in_executor(threads, partial(method, **arguments))

        queues = self._client("sqs")
        streams = self._client("dynamodbstreams")
        destinations = Destinations(self._client)
        return [
            QueueSource(source, client=queues, call=call, invoke=self._invoke, log=self._log)
            if source.source_arn.split(":")[2] == "sqs"
            else StreamSource(
                source,
                client=streams,
                call=call,
                invoke=self._invoke,
                destinations=destinations,
                log=self._log,
            )
            for source in self._sources
        ]

    def _start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(supervise(name, run, log=self._log), name=name))

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_time(self, schedule: Schedule) -> None:
        """Invoke at a fixed rate; a tick that is late moves no other."""
        following = time.monotonic()
        while True:
            following += schedule.every
            await asyncio.sleep(max(0.0, following - time.monotonic()))
            payload = schedule.payload if schedule.payload is not None else self._tick(schedule)
            await self._invoke(schedule.function_name, json.dumps(payload).encode(), kind="Event")

    def _tick(self, schedule: Schedule) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled.html."""
        rule = f"arn:aws:events:{self._region}:{self._account}:rule/{schedule.function_name}"
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [rule],
            "detail": {},
        }
