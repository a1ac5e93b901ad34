"""Lambda's Runtime API, which the runtime interface client in each function's process calls.

The protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. A process is told apart by the port it
calls: the client takes a host and a port only, so a path or a header cannot name it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from darkroom_local.functions.invocations import Invocation
from darkroom_local.loopback import HOST, listen


@dataclass(frozen=True)
class Work:
    """One invocation as a process gets it; `timeout` in seconds."""

    request_id: str
    payload: bytes
    function_arn: str
    timeout: float

    @property
    def headers(self) -> dict[str, str]:
        """What the Runtime API says beside the payload; the deadline is counted from now."""
        now = time.time()
        trace = f"Root=1-{int(now):08x}-{self.request_id.replace('-', '')[:24]};Sampled=0"
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + self.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": trace,
        }


class Channel:
    """One process's line to the host: `send` gives it work, `ready` says that it waits for some."""

    def __init__(self, site: web.SockSite, port: int, *, forget: Callable[[int], object]) -> None:
        self.port = port
        self.ready = asyncio.Event()
        self.init_error: bytes | None = None
        self._site = site
        self._closed = False
        self._forget = forget
        self._work: asyncio.Queue[Work | None] = asyncio.Queue(1)
        self._current: tuple[Work, asyncio.Future[Invocation]] | None = None

    def send(self, work: Work) -> asyncio.Future[Invocation]:
        """Hand over work; the result is set when the process answers. Only when `ready`."""
        answer: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        self.ready.clear()
        self._current = (work, answer)
        self._work.put_nowait(work)
        return answer

    async def take(self) -> Work | None:
        """The next work, as the process asks for it; None once closed."""
        self.ready.set()
        return await self._work.get()

    def answer(self, invocation: Invocation) -> bool:
        """Take the process's answer; False if it answers something it was not asked."""
        if self._current is None or self._current[0].request_id != invocation.request_id:
            return False
        answer = self._current[1]
        self._current = None
        if not answer.done():
            answer.set_result(invocation)
        return True

    async def close(self) -> None:
        """Give the port back, once; the process is gone."""
        if not self._closed:
            self._closed = True
            self._forget(self.port)
            self.release()
            await self._site.stop()

    def release(self) -> None:
        """Let go an open call for work."""
        if self._work.empty():
            self._work.put_nowait(None)

    @property
    def address(self) -> str:
        """The value of `AWS_LAMBDA_RUNTIME_API` for the process at the other end."""
        return f"{HOST}:{self.port}"


class RuntimeApi:
    """Serves the Runtime API while entered; `response_bytes` is the largest answer it takes."""

    def __init__(self, *, response_bytes: int) -> None:
        self._response_bytes = response_bytes
        app = web.Application(client_max_size=response_bytes)
        prefix = "/2018-06-01/runtime"
        app.router.add_get(f"{prefix}/invocation/next", self._on_next)
        app.router.add_post(f"{prefix}/invocation/{{id}}/response", self._on_response)
        app.router.add_post(f"{prefix}/invocation/{{id}}/error", self._on_error)
        app.router.add_post(f"{prefix}/init/error", self._on_init_error)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._channels: dict[int, Channel] = {}

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            channel.release()
        await self._runner.cleanup()

    async def open(self) -> Channel:
        """A new line, on a port of its own."""
        listener = listen()
        port = listener.getsockname()[1]
        site = web.SockSite(self._runner, listener)
        await site.start()
        self._channels[port] = Channel(site, port, forget=self._channels.pop)
        return self._channels[port]

    def _channel(self, request: web.Request) -> Channel:
        address = request.get_extra_info("sockname")
        if address is None or address[1] not in self._channels:
            raise web.HTTPGone
        return self._channels[address[1]]

    async def _on_next(self, request: web.Request) -> web.Response:
        work = await self._channel(request).take()
        if work is None:
            raise web.HTTPGone
        return web.Response(body=work.payload, headers=work.headers)

    async def _on_response(self, request: web.Request) -> web.Response:
        request_id = request.match_info["id"]
        try:
            invocation = Invocation(request_id, await request.read())
        except web.HTTPRequestEntityTooLarge:
            message = f"Response payload size exceeded maximum allowed payload size ({self._response_bytes} bytes)."
            self._channel(request).answer(Invocation.failed(request_id, "Function.ResponseSizeTooLarge", message))
            raise
        return self._accept(request, invocation)

    async def _on_error(self, request: web.Request) -> web.Response:
        invocation = Invocation(request.match_info["id"], await request.read(), "Unhandled")
        return self._accept(request, invocation)

    async def _on_init_error(self, request: web.Request) -> web.Response:
        self._channel(request).init_error = await request.read()
        return web.json_response({"status": "OK"}, status=202)

    def _accept(self, request: web.Request, invocation: Invocation) -> web.Response:
        if self._channel(request).answer(invocation):
            return web.json_response({"status": "OK"}, status=202)
        error = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
        return web.json_response(error, status=400)
