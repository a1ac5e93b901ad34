"""A server that answers as SD WebUI does, and as a test wants."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

from darkroom.tasks import TaskType
from darkroom_agent.runtimes import Job
from darkroom_agent.runtimes.sdwebui import SdWebUi

V15 = {
    "title": "v1-5-pruned-emaonly.safetensors",
    "model_name": "v1-5-pruned-emaonly",
    "filename": "/models/Stable-diffusion/v1-5-pruned-emaonly.safetensors",
}
XL = {
    "title": "xl/sd_xl_base_1.0.safetensors [31e35c80fc]",
    "model_name": "xl_sd_xl_base_1.0",
    "filename": "/models/Stable-diffusion/xl/sd_xl_base_1.0.safetensors",
}
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
).decode()


def image(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class WebUi:
    """What the server is made to do, and what it was asked."""

    loaded: str = V15["title"]
    models: list[dict[str, str]] = field(default_factory=lambda: [V15, XL])
    images: list[str] = field(default_factory=lambda: [image("one")])
    info: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    fault: tuple[int, Any] | None = None
    ignores_options: bool = False
    drops: bool = False
    hold: asyncio.Event | None = None
    rest: asyncio.Event | None = None
    breaks: bool = False
    loads: asyncio.Event | None = None
    starts: asyncio.Event | None = None
    loading: asyncio.Event = field(default_factory=asyncio.Event)
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    working: asyncio.Event = field(default_factory=asyncio.Event)
    job_count: int = 0
    progress: float = 0.4
    resets: bool = False
    requests: list[tuple[str, Any, Any]] = field(default_factory=list)
    registries: dict[str, Any] = field(default_factory=dict)
    current_image: str | None = None
    peers: list[Any] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    def body(self, path: str) -> Any:
        return next(body for asked, body, _ in self.requests if asked == path)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/sdapi/v1/{path}", self.answer)
        app.router.add_route("*", "/controlnet/{path}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        body: Any = await request.json() if request.can_read_body else None
        self.requests.append((path, body, request.headers))
        if path == "options" and body and self.loads is not None:
            self.loading.set()
            await self.loads.wait()
        if path == "options" and body and not self.ignores_options:
            self.loaded = body["sd_model_checkpoint"]
        if path == "interrupt":
            self.interrupted.set()
        if path == "reload-checkpoint" and self.starts is not None:
            await self.starts.wait()
        answers: dict[str, Any] = {
            "sd-models": self.models,
            "options": {"sd_model_checkpoint": self.loaded},
            "progress": {
                "progress": self.progress if self.job_count else 0,
                "state": self.state(),
                "current_image": None if request.query.get("skip_current_image") else self.current_image,
            },
            "interrupt": {},
            "refresh-checkpoints": None,
            "reload-checkpoint": {},
        }
        answers |= self.registries
        if path in answers:
            return web.json_response(answers[path])
        if request.method == "GET":
            return web.json_response({"detail": "Not Found"}, status=404)
        return await self.work(request, path, body)

    def state(self) -> dict[str, Any]:
        return {"job_count": self.job_count, "sampling_step": 3}

    async def work(self, request: web.Request, path: str, body: Any) -> web.StreamResponse:
        self.working.set()
        self.peers.append(request.transport.get_extra_info("peername") if request.transport else None)
        if self.hold is not None:
            await self.hold.wait()
        if self.resets:
            self.job_count = 0
        if self.drops:
            assert request.transport is not None
            request.transport.close()
        if self.fault is not None:
            status, answer = self.fault
            return web.json_response(answer, status=status)
        if path == "extra-single-image":
            return web.json_response({"html_info": "<p>", "image": self.images[0]})
        if path == "extra-batch-images":
            return web.json_response({"html_info": "<p>", "images": self.images * len(body["imageList"])})
        stem = self.loaded.partition(".safetensors")[0].rpartition("/")[2]
        info = {"all_seeds": [1], "index_of_first_image": 0, "sd_model_name": stem} | self.info
        answer = {"images": self.images, "parameters": self.parameters, "info": json.dumps(info)}
        return web.json_response(answer) if self.rest is None else await self.trickle(request, answer)

    async def trickle(self, request: web.Request, answer: Any) -> web.StreamResponse:
        """Begin an answer; the rest follows when `rest` is set, unless the connection is to break."""
        rest, self.rest = self.rest, None
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        assert rest is not None
        await rest.wait()
        if self.breaks:
            assert request.transport is not None
            request.transport.close()
        else:
            await response.write(json.dumps(answer).encode())
        return response


def job(**changes: Any) -> Job:
    return Job(**{"type": TaskType.TEXT_TO_IMAGE, "content": {"prompt": "A dog"}, **changes})


Connect: TypeAlias = Callable[..., SdWebUi]
