"""What can go wrong around an agent, made to go wrong: AWS behind a gate, and a runtime that does as it is told."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import aiohttp
from aiohttp import web
from PIL import Image
from tests.e2e.users import eventually
from yarl import URL

from darkroom.models import JsonObject
from darkroom_local.loopback import LoopbackServer
from darkroom_local.preview.comfyui.server import make_app
from darkroom_local.preview.runtime import Pace

_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "expect"}  # Host is signed
_FAULTS = {"503": (503, "ServiceUnavailable"), "throttled": (400, "ThrottlingException")}
_FAULTS_OF_S3 = {"503": (503, "ServiceUnavailable"), "throttled": (503, "SlowDown")}


class Hold:
    """One call that is held at the gate: `reached` when it is there, `go` lets it pass."""

    def __init__(self, operation: str, *, after: bool) -> None:
        self.operation = operation
        self.after = after
        self.reached = asyncio.Event()
        self.go = asyncio.Event()


class Gate:
    """A proxy before the emulated AWS. Operations are named as AWS names them (`UpdateItem`), S3's by method."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._holds: list[Hold] = []
        self._faults: dict[str, str] = {}
        self._closed = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self.calls: list[str] = []
        self.failed: list[str] = []
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._server = LoopbackServer(app)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for hold in self._holds:
            hold.go.set()
        await self._server.__aexit__(None, None, None)
        await self._session.close()

    @property
    def url(self) -> str:
        """Where AWS seems to be."""
        return self._server.url

    def hold(self, operation: str, *, after: bool = False) -> Hold:
        """Hold the next call of an operation, before it is forwarded or (`after`) before it is answered."""
        hold = Hold(operation, after=after)
        self._holds.append(hold)
        return hold

    def fail(self, operation: str, how: str | None) -> None:
        """Answer an operation with a fault until told otherwise (None).

        `503`, `throttled`: with that answer; `drop`: the connection breaks; `hang`: there is no answer for as long
        as the caller waits; `silence`: neither, but what was asked for is done.
        """
        if how is None:
            self._faults.pop(operation, None)
        else:
            self._faults[operation] = how

    async def close(self) -> None:
        """Answer for the queues that they are empty, until opened; returns when no earlier call is under way.

        That is for an agent that asks again and again, one call at a time.
        """
        self._closed.clear()
        self._open.clear()
        await asyncio.wait_for(self._closed.wait(), 20)

    def open(self) -> None:
        """Let messages through again, to the call that waits here too."""
        self._open.set()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.method
        body = await request.read()
        self.calls.append(operation)
        if operation == "ReceiveMessage" and not await self._opens():
            return web.json_response({})
        fault = self._faults.get(operation)
        if fault is not None:
            self.failed.append(operation)
        if fault == "drop":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fault == "hang":
            return await _say_nothing(request)
        if fault in _FAULTS:
            return _refuse(fault, s3=operation == request.method)
        hold = next((it for it in self._holds if it.operation == operation and not it.reached.is_set()), None)
        await self._wait(hold, after=False)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(self._target + request.raw_path, encoded=True)  # it is signed, too
        async with self._session.request(request.method, url, data=io.BytesIO(body), headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            response = web.Response(status=answer.status, headers=kept, body=await answer.read())
        if fault == "silence":
            return await _say_nothing(request)
        if operation != "ReceiveMessage" or b'"Messages"' in (response.body or b""):  # type: ignore[operator]
            await self._wait(hold, after=True)
        return response

    async def _opens(self) -> bool:
        self._closed.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._open.wait(), 1)
        return self._open.is_set()

    @staticmethod
    async def _wait(hold: Hold | None, *, after: bool) -> None:
        if hold is not None and hold.after is after:
            hold.reached.set()
            await hold.go.wait()


def _refuse(fault: str, *, s3: bool) -> web.Response:
    status, code = (_FAULTS_OF_S3 if s3 else _FAULTS)[fault]
    if s3:
        text = f"<Error><Code>{code}</Code><Message>come back later</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")
    return web.json_response({"__type": code, "message": "come back later"}, status=status)


async def _say_nothing(request: web.Request) -> web.Response:
    async def hung_up() -> bool | None:
        return request.transport is None or None

    await eventually(hung_up, "the caller to give up")
    return web.Response()


def png(colour: str = "white") -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


Behaviour = Callable[[], Awaitable[web.Response]]


class ToldRuntime:
    """An SD WebUI that does as it is told: `behave` decides about the next jobs.

    `runs` lists the prompts that it began to work on; `running` is set while it works, `idle` when it is done.
    `answering` is set when an answer has begun whose rest waits for `rest` (`dawdle`).
    """

    MODEL = "v1-5-pruned-emaonly"

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.running = asyncio.Event()
        self.idle = asyncio.Event()
        self.release = asyncio.Event()
        self.answering = asyncio.Event()
        self.rest = asyncio.Event()
        self.progress = 0.0
        self.interrupted = 0
        self.behaviours: list[str] = []
        self.server = LoopbackServer(self._app())

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release.set()
        self.rest.set()
        await self.server.__aexit__(None, None, None)

    async def restart(self, while_away: Awaitable[object]) -> None:
        """End, and start anew at the same place."""
        await self.server.__aexit__(None, None, None)
        await while_away
        self.server = LoopbackServer(self._app(), self.server.port)
        await self.server.__aenter__()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        base = "/sdapi/v1"
        app.router.add_get(f"{base}/sd-models", self._models)
        app.router.add_get(f"{base}/options", self._options)
        app.router.add_get(f"{base}/progress", self._progress)
        app.router.add_post(f"{base}/interrupt", self._interrupt)
        app.router.add_post(f"{base}/txt2img", self._run)
        app.router.add_post(f"{base}/img2img", self._run)
        return app

    async def _models(self, _: web.Request) -> web.Response:
        name = f"{self.MODEL}.safetensors"
        return web.json_response([{"title": name, "model_name": self.MODEL, "filename": f"/models/{name}"}])

    async def _options(self, _: web.Request) -> web.Response:
        return web.json_response({"sd_model_checkpoint": f"{self.MODEL}.safetensors"})

    async def _progress(self, _: web.Request) -> web.Response:
        count = 1 if self.running.is_set() else 0
        return web.json_response({"progress": self.progress * count, "state": {"job_count": count}})

    async def _interrupt(self, _: web.Request) -> web.Response:
        self.interrupted += 1
        self.release.set()
        return web.json_response({})

    async def _run(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.runs.append(body["prompt"])
        behaviour = self.behaviours.pop(0) if self.behaviours else "work"
        self.running.set()
        self.idle.clear()
        try:
            made = await self._behave(behaviour, request)
        finally:
            self.running.clear()
            self.idle.set()
        return await self._dawdle(request, made.body) if behaviour == "dawdle" else made

    async def _dawdle(self, request: web.Request, body: Any) -> web.StreamResponse:
        """Answer by and by, done with the job and free for another."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(body[:100])
        self.answering.set()
        await self.rest.wait()
        with suppress(ConnectionError):  # nobody reads it any more
            await response.write(body[100:])
        return response

    async def _behave(self, behaviour: str, request: web.Request) -> web.Response:
        if behaviour == "wait":
            self.release.clear()
            await self.release.wait()
        if behaviour == "drop" and request.transport is not None:
            request.transport.abort()
        if behaviour.startswith("{"):
            answer = json.loads(behaviour)
            return web.json_response(answer["body"], status=answer["status"])
        info = {"all_seeds": [1], "index_of_first_image": 0, "sd_model_name": self.MODEL}
        image = base64.b64encode(png()).decode()
        return web.json_response({"images": [image], "parameters": {}, "info": json.dumps(info)})


def answer(status: int, **body: object) -> str:
    """A behaviour: answer with this status and body."""
    return json.dumps({"status": status, "body": body})


class SlowComfyUi:
    """The preview's ComfyUI, whose sampler comes to no end before it is told to `hurry`."""

    def __init__(self) -> None:
        self._pace = Pace(step=0.1, load=0)
        self.server = LoopbackServer(make_app(pace=self._pace))

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.__aexit__(None, None, None)

    def hurry(self) -> None:
        """Take no time for a step from now on."""
        object.__setattr__(self._pace, "step", 0)  # it is frozen, and looked at before each step

    async def running(self) -> str | None:
        """The id of the prompt that runs."""
        prompts = (await self._ask("queue"))["queue_running"]
        return prompts[0][1] if prompts else None

    async def history(self) -> JsonObject:
        """The prompts that ended, by their ids, with how they ended."""
        entries: JsonObject = await self._ask("history")
        return {prompt_id: entry["status"]["status_str"] for prompt_id, entry in entries.items()}

    async def _ask(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.server.url}/{path}") as found:
            return await found.json()


def sample(steps: int) -> JsonObject:
    """A workflow that makes one small picture."""
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    settings = {"seed": 1, "steps": steps, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    return {
        "4": _node("CheckpointLoaderSimple", ckpt_name=f"{ToldRuntime.MODEL}.safetensors"),
        "5": _node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": _node("CLIPTextEncode", text="a lighthouse", clip=["4", 1]),
        "3": _node("KSampler", **links, **settings),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": _node("SaveImage", images=["8", 0], filename_prefix="x"),
    }


def _node(class_type: str, **inputs: Any) -> JsonObject:
    return {"class_type": class_type, "inputs": inputs}
