"""A user's shell: `darkroom` as processes of its own."""

import asyncio
import json
import multiprocessing
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom_cli.main import main

DARKROOM = str(Path(sys.executable).parent / "darkroom")

# Most of a command's time goes into its imports: they are forked from a process that has made them.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([main.__module__])


@dataclass
class Shell:
    """A user's shell in a folder of their own, where the cloud of the tests is the local cloud."""

    folder: Path
    variables: Mapping[str, str]

    @asynccontextmanager
    async def start(self, *arguments: str) -> AsyncIterator[Process]:
        """The command as it is installed."""
        process = await asyncio.create_subprocess_exec(
            DARKROOM, *arguments, cwd=self.folder, env=dict(self.variables), stdout=PIPE, stderr=PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints to stdout; it must end with this code."""
        process = _FORKS.Process(target=_become, args=(arguments, self.folder, dict(self.variables)))
        await asyncio.to_thread(process.start)
        try:
            await asyncio.to_thread(process.join, 60)
        finally:
            process.kill()
        out, err = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        assert process.exitcode == code, (out, err)
        return out

    async def json(self, *arguments: str) -> Any:
        """The document that a command prints."""
        return json.loads(await self.run(*arguments, "--json"))


def _become(arguments: tuple[str, ...], folder: Path, variables: Mapping[str, str]) -> None:
    """Be the command as a shell starts it."""
    os.chdir(folder)
    os.environ.clear()  # noqa: TID251  a process has an environment
    os.environ.update(variables)  # noqa: TID251
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = ["darkroom", *arguments]
    main()
