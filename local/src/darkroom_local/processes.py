"""Python modules as processes of the local cloud: a function's, an agent, a preview runtime.

They are forked from one process that has imported the libraries most of them need (`darkroom_local.launcher`), so
that they start in a fraction of a second.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Self

from darkroom_local.launcher import NUMBER, Order
from darkroom_local.launchers import Launcher

IMPORTED = (
    "aiohttp.web",
    "aws_lambda_powertools.utilities.batch",
    "boto3.session",
    "chalice.app",
    "pydantic",
    "s3transfer.manager",
)
"""None of Darkroom's own modules: a process runs the code that is there when it starts. Nor awslambdaric, whose
native part looks at the environment as it is loaded."""
LINE_BYTES = 1024 * 1024

_LAUNCHER = Launcher(IMPORTED)
_alive: dict[int, Order] = {}


class NotStartedError(Exception):
    """The process could not be started."""


def alive() -> Mapping[int, Order]:
    """What runs now: orders by process id."""
    return _alive


class Process:
    """A started process. `pid` is its process group too; its output, errors included, is `stdout`.

    It cannot outlive the local cloud, and Ctrl-C does not reach it. `returncode` is `None` while it runs, then its
    exit code, or the negative number of the signal that killed it.
    """

    def __init__(self, pid: int, stdout: "_Pipe", told: "_Pipe") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout.reader
        self._stdout = stdout
        self._ended = asyncio.create_task(self._end(told), name=f"end-of-{pid}")

    @classmethod
    async def start(cls, order: Order) -> Self:
        """Start a process.

        Raises:
            NotStartedError: the system has no room for one.
        """
        try:
            output, told = _LAUNCHER.order(order)
            stdout, end = await _Pipe.open(output), await _Pipe.open(told)
        except OSError as error:
            raise NotStartedError(f"the launcher of processes is gone: {error}") from error
        try:
            (pid,) = NUMBER.unpack(await end.reader.readexactly(NUMBER.size))
        except EOFError as error:
            stdout.close()
            end.close()
            raise NotStartedError("the launcher of processes is gone") from error
        _alive[pid] = order
        return cls(pid, stdout, end)

    async def wait(self) -> int:
        """Wait for its end; returns `returncode`."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Read no more of its output."""
        self._stdout.close()

    async def _end(self, told: "_Pipe") -> int:
        try:
            (self.returncode,) = NUMBER.unpack(await told.reader.readexactly(NUMBER.size))
        except asyncio.IncompleteReadError:  # the launcher was killed, and what it forked with it
            self.returncode = -signal.SIGKILL
        _alive.pop(self.pid, None)
        told.close()
        return self.returncode


class _Pipe:
    """A pipe's reading end."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        self.reader = reader
        self.close = transport.close

    @classmethod
    async def open(cls, descriptor: int) -> Self:
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        file = os.fdopen(descriptor, "rb", 0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        return cls(reader, transport)
