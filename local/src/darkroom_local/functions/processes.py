"""One process of a function: AWS's runtime interface client around the function's handler.

Errors are worded as Lambda words them, so that what tests and logs show is what AWS shows.
"""

import asyncio
import os
import re
import signal
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from darkroom_local import processes
from darkroom_local.functions.invocations import Invocation, Limits, Log
from darkroom_local.functions.runtime_api import Channel, Work
from darkroom_local.launcher import Order
from darkroom_local.resources import Function

RUNTIME = "python3.13"
CHECK_SECONDS = 0.05  # between two looks at a process's memory
LINE_BYTES = 256 * 1024  # the longest log event of CloudWatch


class ProcessGoneError(Exception):
    """The process ended before it was given the work."""


class InitError(Exception):
    """The process ended before it asked for work."""

    def __init__(self, invocation: Invocation) -> None:
        super().__init__(invocation.error_message)
        self.invocation = invocation


def sandbox_environment(
    function: Function, *, runtime_api: str, region: str, endpoint_url: str, credentials: Mapping[str, str]
) -> dict[str, str]:
    """Every variable of a function's process: the template's, and what Lambda sets beside them.

    As on AWS (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html), the template may change
    `LANG`, `PATH` and `TZ`, and none of the reserved ones. `AWS_ENDPOINT_URL` is the only addition.
    """
    stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
    defaults = {"LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": ":UTC"}
    reserved = {
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": region,
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
    }
    return {**defaults, **function.environment, **reserved, **credentials}


class Process:
    """A started process, which does one piece of work at a time."""

    def __init__(
        self,
        function: Function,
        channel: Channel,
        child: processes.Process,
        *,
        log: Log,
        limits: Limits,
    ) -> None:
        self.idle_since = time.monotonic()
        self._function = function
        self._channel = channel
        self._child = child
        self._log = log
        self._limits = limits
        self._next_look = 0.0
        name = f"{function.name}-{child.pid}"
        self._exit = asyncio.create_task(child.wait(), name=f"exit-{name}")
        self._output = asyncio.create_task(self._read_output(), name=f"output-{name}")

    @classmethod
    async def start(
        cls, function: Function, channel: Channel, environment: Mapping[str, str], *, log: Log, limits: Limits
    ) -> Self:
        """Start a process and return when it waits for work.

        Raises:
            InitError: it ended, or did not come that far in `limits.init_seconds`.
        """
        order = Order("awslambdaric", (function.handler,), environment, str(function.code))
        try:
            function.code.stat()
            child = await processes.Process.start(order)
        except (OSError, processes.NotStartedError) as error:
            await channel.close()
            raise InitError(Invocation.failed("", "Runtime.InvalidEntrypoint", str(error))) from error
        process = cls(function, channel, child, log=log, limits=limits)
        try:
            await process.initialise()
        except BaseException:
            await process.stop(grace=0)
            raise
        return process

    @property
    def pid(self) -> int:
        """Its process id, which is its process group too."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return not self._exit.done()

    async def initialise(self) -> None:
        """Return when the process waits for its first work; raises `InitError` if it never does."""
        request_id = str(uuid.uuid4())
        if await self._ready_within(self._limits.init_seconds):
            return
        if self._channel.init_error is not None:
            raise InitError(Invocation(request_id, self._channel.init_error, "Unhandled"))
        if self.alive:
            raise InitError(await self._timed_out(request_id, self._limits.init_seconds))
        raise InitError(self._exited(request_id))

    async def run(self, request_id: str, payload: bytes) -> Invocation:
        """Do one piece of work; whatever goes wrong in it is the invocation's error.

        After a timeout, a crash or too much memory the process is gone.

        Raises:
            ProcessGoneError: it ended before it got the work.
        """
        if not await self._ready_within(self._limits.init_seconds):
            raise ProcessGoneError
        function = self._function
        answer = self._channel.send(Work(request_id, payload, function.arn, function.timeout))
        deadline = time.monotonic() + function.timeout
        while not answer.done():
            if not self.alive:
                return self._exited(request_id)
            if time.monotonic() >= deadline:
                return await self._timed_out(request_id)
            if self._is_too_large():
                return await self._out_of_memory(request_id)
            pause = min(CHECK_SECONDS, max(0.0, deadline - time.monotonic()))
            ends: set[asyncio.Future[Any]] = {answer, self._exit}
            await asyncio.wait(ends, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        self.idle_since = time.monotonic()
        return answer.result()

    async def stop(self, *, grace: float) -> None:
        """End the process and whatever it started: SIGTERM, and after `grace` seconds SIGKILL."""
        if self.alive:  # the number of a process long gone may be another's
            if grace > 0:
                self._signal(signal.SIGTERM)
                await asyncio.wait({self._exit}, timeout=grace)
            self._signal(signal.SIGKILL)
            await asyncio.wait({self._exit})
        # A grandchild that left the process group may hold the pipe open.
        await asyncio.wait({self._output}, timeout=1.0)
        self._output.cancel()
        self._child.close()
        await self._channel.close()

    async def _ready_within(self, seconds: float) -> bool:
        ready = asyncio.create_task(self._channel.ready.wait(), name=f"ready-{self.pid}")
        try:
            await asyncio.wait({ready, self._exit}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        return self._channel.ready.is_set() and self.alive

    def _failed(self, request_id: str, error_type: str, message: str) -> Invocation:
        invocation = Invocation.failed(request_id, error_type, f"RequestId: {request_id} Error: {message}")
        self._log(self._function.name, f"{error_type} {message} (request {request_id})")
        return invocation

    async def _timed_out(self, request_id: str, seconds: float | None = None) -> Invocation:
        await self.stop(grace=0)
        message = f"Task timed out after {seconds or self._function.timeout:.2f} seconds"
        return self._failed(request_id, "Sandbox.Timedout", message)

    async def _out_of_memory(self, request_id: str) -> Invocation:
        await self.stop(grace=0)
        return self._failed(request_id, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed")

    def _exited(self, request_id: str) -> Invocation:
        code = self._exit.result()
        if code < 0:
            reason = f" with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"
        else:
            reason = f" with error: exit status {code}" if code else " without providing a reason"
        return self._failed(request_id, "Runtime.ExitError", f"Runtime exited{reason}")

    def _is_too_large(self) -> bool:
        """Whether it has more memory than its function; not looked at for each of many short invocations."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + CHECK_SECONDS
        return self._resident_bytes() > self._function.memory * 1024 * 1024

    def _resident_bytes(self) -> int:
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):  # just gone, or not Linux
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # gone; macOS says EPERM of a group of zombies
            return

    async def _read_output(self) -> None:
        rest = b""
        while chunk := await self._child.stdout.read(65536):
            # The runtime separates the lines of a traceback by \r, to keep them in one log event.
            *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
            if len(rest) > LINE_BYTES:
                lines, rest = [*lines, rest], b""
            self._log_lines(lines)
        self._log_lines([rest])

    def _log_lines(self, lines: list[bytes]) -> None:
        for line in lines:
            if line:
                self._log(self._function.name, line.decode(errors="replace").replace("\xa0", " "))
