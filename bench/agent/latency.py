"""A proxy that makes each call to the emulated AWS take as long as it takes on AWS.

`python bench/agent/latency.py PORT TARGET` forwards to TARGET (an `http://` address). The times are ordinary ones
within a region, in seconds.
"""

import asyncio
import sys

import aiohttp
from aiohttp import web

LATENCIES = {
    "ReceiveMessage": 0.015,
    "DeleteMessage": 0.010,
    "ChangeMessageVisibility": 0.010,
    "SendMessage": 0.020,
    "UpdateItem": 0.010,
    "GetItem": 0.005,
    "PUT": 0.060,
    "GET": 0.040,
}
_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "expect"}


class Proxy:
    """Forwards requests to `target` after a while."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def start(self, _: web.Application) -> None:
        """Open connections as they are needed, and keep them."""
        self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=64))

    async def stop(self, _: web.Application) -> None:
        """Close them."""
        await self._session.close()

    async def forward(self, request: web.Request) -> web.Response:
        """Forward one request."""
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.method
        body = await request.read()
        await asyncio.sleep(LATENCIES.get(operation, 0.010))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(
            request.method, self._target + request.raw_path, data=body, headers=headers
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


if __name__ == "__main__":
    _, port, address = sys.argv
    proxy = Proxy(address)
    application = web.Application(client_max_size=1 << 30)
    application.on_startup.append(proxy.start)
    application.on_cleanup.append(proxy.stop)
    application.router.add_route("*", "/{path:.*}", proxy.forward)
    web.run_app(application, host="127.0.0.1", port=int(port), print=None)
