"""The template's functions, run as AWS Lambda runs them."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from darkroom_local.functions.destinations import Destinations
from darkroom_local.functions.invocations import (
    ClientFactory,
    FunctionNotFoundError,
    Invocation,
    InvokeError,
    Kind,
    Limits,
    Log,
    RequestTooLargeError,
    ThrottledError,
)
from darkroom_local.functions.invoke_api import invoke_application
from darkroom_local.functions.pools import Pool
from darkroom_local.functions.processes import Process, sandbox_environment
from darkroom_local.functions.runtime_api import RuntimeApi
from darkroom_local.loopback import LoopbackServer
from darkroom_local.resources import Function
from darkroom_local.supervision import supervise

Result = TypeVar("Result")

Credentials = Callable[[str], Mapping[str, str]]
"""Gives, for a role's ARN, the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

Called in a worker thread, once for each process that is started.
"""

LARGEST_REAP_SECONDS = 5.0
ERROR_MESSAGE_BYTES = (
    1024  # of a dead letter, https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
)


class FunctionHost:
    """Runs functions while entered, and serves Lambda's Invoke API on `port` (0: any free one).

    `endpoint_url` is the emulated AWS as the functions see it, `client` gives the host's own clients of it (for
    dead letters). `log` gets each line that a function prints, and what the host has to say of it.
    """

    def __init__(  # noqa: PLR0913 - plain values, named where they are given
        self,
        functions: Iterable[Function],
        *,
        endpoint_url: str,
        region: str,
        credentials: Credentials,
        client: ClientFactory,
        log: Log,
        limits: Limits | None = None,
        port: int = 0,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._credentials = credentials
        self._log = log
        self._limits = limits or Limits()
        self._destinations = Destinations(client)
        self._pools = {
            function.name: Pool(function, start=self._start_process, limits=self._limits) for function in functions
        }
        self._runtime_api = RuntimeApi(response_bytes=self._limits.response_bytes)
        self._server = LoopbackServer(
            invoke_application(self.invoke, request_bytes=self._limits.request_bytes), port
        )
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closes = False

    @property
    def endpoint_url(self) -> str:
        """Where Lambda's Invoke API is served, for boto3's `endpoint_url`."""
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._runtime_api)
        await self._stack.enter_async_context(self._server)
        self._stack.push_async_callback(self._end)
        self._spawn(supervise("reaper", self._reap, log=self._log), name="reaper")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def invoke(self, function_name: str, payload: bytes, *, kind: Kind = "RequestResponse") -> Invocation:
        """Invoke a function with a JSON payload.

        A caller that stops waiting does not stop the function, as on AWS. `kind` "Event" is answered at once; the
        function then runs in the background, twice more if it fails, and at last the payload goes to its
        `dead_letter_arn`.

        Raises:
            FunctionNotFoundError: no function has this name.
            RequestTooLargeError: the payload is larger than `Limits` allow.
            ThrottledError: its reserved concurrency is used up (never for "Event": that waits).
            InvokeError: the host closes.
        """
        if self._closes:  # what began now, nobody would end
            raise InvokeError("The local cloud ends.")
        pool = self._pools.get(function_name)
        if pool is None:
            raise FunctionNotFoundError(f"Function not found: {function_name}")
        largest = self._limits.event_bytes if kind == "Event" else self._limits.request_bytes
        if len(payload) > largest:
            raise RequestTooLargeError(
                f"Request must be smaller than {largest} bytes for the InvokeFunction operation"
            )
        request_id = str(uuid.uuid4())
        if kind == "Event":
            self._spawn(self._run_event(pool, request_id, payload), name=f"event-{function_name}-{request_id}")
            return Invocation(request_id)
        running = self._spawn(pool.invoke(request_id, payload), name=f"invoke-{function_name}-{request_id}")
        return await asyncio.shield(running)

    async def _run_event(self, pool: Pool, request_id: str, payload: bytes) -> None:
        for delay in (*self._limits.retry_delays, None):
            invocation = await self._invoke_unthrottled(pool, request_id, payload)
            if invocation.function_error is None:
                return
            if delay is not None:
                await asyncio.sleep(delay)
        self._log(pool.function.name, f"gave up the event of request {request_id}: {invocation.error_message}")
        await self._bury(pool.function, invocation, payload)

    async def _invoke_unthrottled(self, pool: Pool, request_id: str, payload: bytes) -> Invocation:
        """Wait out throttling, which costs an event no attempt (on AWS it may take six hours)."""
        pause = 0.05
        while True:
            try:
                return await pool.invoke(request_id, payload)
            except ThrottledError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _bury(self, function: Function, invocation: Invocation, payload: bytes) -> None:
        """Send an event that failed to the dead letters, in the form AWS documents.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        if function.dead_letter_arn is None:
            return
        message = invocation.error_message.encode()[:ERROR_MESSAGE_BYTES].decode(errors="ignore")
        attributes = {
            "RequestID": ("String", invocation.request_id),
            "ErrorCode": ("Number", "200"),
            "ErrorMessage": ("String", message),
        }
        try:
            await self._destinations.send(function.dead_letter_arn, payload.decode(), attributes)
        except (BotoCoreError, ClientError) as error:
            self._log(function.name, f"the dead letter of request {invocation.request_id} is lost: {error}")

    async def _start_process(self, function: Function) -> Process:
        credentials = await asyncio.to_thread(self._credentials, function.role_arn)
        channel = await self._runtime_api.open()
        environment = sandbox_environment(
            function,
            runtime_api=channel.address,
            region=self._region,
            endpoint_url=self._endpoint_url,
            credentials=credentials,
        )
        return await Process.start(function, channel, environment, log=self._log, limits=self._limits)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(min(self._limits.idle_seconds / 2, LARGEST_REAP_SECONDS))
            for pool in self._pools.values():
                await pool.reap()

    def _spawn(self, work: Coroutine[Any, Any, Result], *, name: str) -> asyncio.Task[Result]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # An invocation whose caller left may still fail, and a dead letter be refused: say so here or nowhere.
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, ThrottledError):
            self._log("lambda", f"{task.get_name()} failed: {error!r}")

    async def _end(self) -> None:
        self._closes = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
