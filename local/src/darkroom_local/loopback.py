"""An aiohttp application served on a port of the loopback interface."""

import socket
from types import TracebackType
from typing import Self

from aiohttp import web

HOST = "127.0.0.1"


def listen(port: int = 0) -> socket.socket:
    """A socket listening on `port` of the loopback interface (0: any free one).

    Raises:
        OSError: the port is taken.
    """
    return socket.create_server((HOST, port), backlog=128)


class LoopbackServer:
    """Serves `app` while entered; `port` 0 is any free one, and `url` then names the one it got.

    Request bodies arrive as they were sent (`Content-Encoding` is the application's business).
    """

    def __init__(self, app: web.Application, port: int = 0) -> None:
        # Whoever is still being answered at the end gets a second to read it.
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
        self.port = port

    @property
    def url(self) -> str:
        """Where it is served, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        listener = listen(self.port)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
