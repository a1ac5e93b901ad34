"""The sockets on which clients hear of their prompts."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from aiohttp import web


class Sockets:
    """Sends events, in order. A client that stops reading holds up the others, as on the real server."""

    def __init__(self) -> None:
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._waiting: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()

    def send(self, kind: str, data: Mapping[str, Any], client_id: str | None) -> None:
        """Send an event to a client, if it listens; to all without a name."""
        self._waiting.put_nowait((client_id, json.dumps({"type": kind, "data": data})))

    async def pump(self) -> None:
        """Send what waits, for ever."""
        while True:
            client_id, text = await self._waiting.get()
            for name, socket in list(self._sockets.items()):
                if client_id in {None, name} and not socket.closed:
                    try:
                        await socket.send_str(text)
                    except ConnectionError:
                        continue

    async def serve(self, request: web.Request, status: Mapping[str, Any]) -> web.WebSocketResponse:
        """Keep a socket until its client leaves. A later one of the same name takes its place."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid4().hex
        self._sockets[client_id] = socket
        await socket.send_json({"type": "status", "data": {**status, "sid": client_id}})
        try:
            async for _ in socket:
                continue
        finally:
            self._sockets.pop(client_id, None)  # also where another has its place by now: a trap of the real one
        return socket

    async def close(self) -> None:
        """Close all."""
        for socket in list(self._sockets.values()):
            await socket.close()
