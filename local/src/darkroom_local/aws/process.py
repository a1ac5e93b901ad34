"""Starts the emulated AWS (`server`) in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def run_aws(port: int = 0) -> Iterator[str]:
    """Runs an empty emulated AWS for the length of a `with` statement, which gets its URL.

    The process ends with this one, however this one ends. `port` 0 means any free one.

    Raises:
        RuntimeError: It did not start; its standard error says why.
    """
    command = [sys.executable, "-m", "darkroom_local.aws.server", "--port", str(port), "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own module
        try:
            ready, _, url = (process.stdout.readline() if process.stdout else "").strip().partition(" ")
            if ready != "ready":
                raise RuntimeError("the emulated AWS did not start")
            yield url
        finally:
            process.terminate()
