"""A runtime that takes exactly as long as it is told, and remembers when it was busy.

`python bench/agent/gpu.py PORT SECONDS IMAGES` speaks as much of `/sdapi/v1` as an agent needs. `GET /busy` answers
with a list of [start, end] in seconds.
"""

import asyncio
import base64
import json
import os
import sys
import time
import zlib

from aiohttp import web

MODEL = "bench"
_SIDE = 424  # random pixels do not compress: 424 by 424 by 3 bytes are about 540 KB


def png(side: int = _SIDE) -> bytes:
    """A picture of noise, about 540 KB."""
    rows = b"".join(b"\0" + os.urandom(side * 3) for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    )


class Gpu:
    """One GPU: one job at a time, `seconds` each."""

    def __init__(self, seconds: float, images: int) -> None:
        self._seconds = seconds
        info = {"all_seeds": list(range(images)), "index_of_first_image": 0, "sd_model_name": MODEL}
        picture = base64.b64encode(png()).decode()
        self._answer = json.dumps(
            {"images": [picture] * images, "parameters": {}, "info": json.dumps(info)}
        ).encode()
        self._lock = asyncio.Lock()
        self._busy: list[tuple[float, float]] = []
        self._since: float | None = None

    def app(self) -> web.Application:
        """The server."""
        app = web.Application(client_max_size=1 << 30)
        model = {"title": MODEL, "model_name": MODEL, "filename": f"/models/{MODEL}.safetensors", "hash": None}
        for path, body in {
            "sd-models": [model],
            "options": {"sd_model_checkpoint": MODEL},
        }.items():
            app.router.add_get(f"/sdapi/v1/{path}", self._constant(body))
        for path in ("txt2img", "img2img"):
            app.router.add_post(f"/sdapi/v1/{path}", self._run)
        app.router.add_get("/sdapi/v1/progress", self._progress)
        app.router.add_get("/busy", self._tell)
        return app

    @staticmethod
    def _constant(body: object) -> web.RequestHandler:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body)

        return answer

    async def _run(self, request: web.Request) -> web.Response:
        await request.read()
        async with self._lock:
            self._since = time.monotonic()
            await asyncio.sleep(self._seconds)
            self._busy.append((self._since, time.monotonic()))
            self._since = None
        return web.Response(body=self._answer, content_type="application/json")

    async def _progress(self, _: web.Request) -> web.Response:
        share = 0.0 if self._since is None else (time.monotonic() - self._since) / self._seconds
        return web.json_response(
            {"progress": min(share, 0.99), "state": {"job_count": int(self._since is not None)}}
        )

    async def _tell(self, _: web.Request) -> web.Response:
        return web.json_response(self._busy)


if __name__ == "__main__":
    _, port, length, count = sys.argv
    web.run_app(Gpu(float(length), int(count)).app(), host="127.0.0.1", port=int(port), print=None)
