"""Starts the emulated AWS (`server`) in a process of its own."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from darkroom_local.launcher import NUMBER, Order
from darkroom_local.launchers import Launcher

_STANDARD_ERROR = 2
_LAUNCHER = Launcher(("darkroom_local.aws.services",))


@contextmanager
def run_aws(port: int = 0) -> Iterator[str]:
    """Runs an empty emulated AWS for the length of a `with` statement, which gets its URL.

    The process ends with this one, however this one ends; Ctrl-C does not reach it, since this one may still need
    it then. `port` 0 means any free one.

    Raises:
        RuntimeError: It did not start; its standard error says why.
    """
    environment = dict(os.environ)  # noqa: TID251  it is the emulator's, too
    order = Order("darkroom_local.aws.server", ("--port", str(port)), environment, str(Path.cwd()))
    output, told = _LAUNCHER.order(order, errors=_STANDARD_ERROR)
    with os.fdopen(output) as lines, os.fdopen(told, "rb", 0) as news:
        pid = news.read(NUMBER.size)
        try:
            ready, _, url = lines.readline().strip().partition(" ")
            if ready != "ready":
                raise RuntimeError("the emulated AWS did not start")
            yield url
        finally:
            if pid and not select.select([news], [], [], 0)[0]:  # it runs
                with suppress(ProcessLookupError):  # not any more
                    os.kill(NUMBER.unpack(pid)[0], signal.SIGTERM)
                news.read(NUMBER.size)
