"""Python modules run as processes of the local cloud: agents and preview runtimes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from darkroom_local.functions.invocations import Log
from darkroom_local.launcher import Order
from darkroom_local.processes import Process


@dataclass(frozen=True)
class Program:
    """A module to run as `python -m module`: it sees `environment` and nothing else.

    `name` is what its log lines come under; `grace` is how long it may take to stop, in seconds.
    """

    name: str
    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 5.0


class ChildExitedError(Exception):
    """A process that should go on has ended."""


@asynccontextmanager
async def running(program: Program, log: Log) -> AsyncIterator[Process]:
    """Run a program for the length of a `with` statement.

    It cannot outlive this process, and its output goes to `log` line by line. At the end it gets SIGTERM and, when
    its grace is over, SIGKILL.
    """
    process = await Process.start(Order(program.module, program.arguments, program.environment))
    reader = asyncio.create_task(_read(program.name, process, log), name=f"log-of-{program.name}")
    try:
        yield process
    finally:
        await _end(process, program.grace)
        await reader
        process.close()


async def keep_running(program: Program, log: Log) -> None:
    """Run a program until cancelled.

    Raises:
        ChildExitedError: it ended by itself.
    """
    async with running(program, log) as process:
        code = await process.wait()
    raise ChildExitedError(f"{program.name} ended with exit code {code}")


async def _read(name: str, process: Process, log: Log) -> None:
    async for line in process.stdout:
        log(name, line.decode(errors="replace").rstrip())


async def _end(process: Process, grace: float) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace)
    except TimeoutError:
        with suppress(ProcessLookupError):  # it ended just now
            process.kill()
        await process.wait()
