"""The routes of `/sdapi/v1`, as AUTOMATIC1111 1.8 has them."""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import TypeAdapter

from darkroom_local.preview import extras, generation
from darkroom_local.preview.bodies import (
    BatchUpscaling,
    Body,
    ImageToImage,
    Interrogation,
    PictureInfo,
    SingleUpscaling,
    TextToImage,
)
from darkroom_local.preview.errors import FailedError
from darkroom_local.preview.images import encode_image
from darkroom_local.preview.runtime import PreviewRuntime
from darkroom_local.preview.samplers import describe_samplers
from darkroom_local.preview.upscalers import UPSCALERS

BodyType = TypeVar("BodyType", bound=Body)
Handler = Callable[[web.Request], Awaitable[web.Response]]

_SETTINGS = TypeAdapter(dict[str, Any])


class SdApi:
    """Handlers: each reads a body, calls one function, answers JSON."""

    def __init__(self, runtime: PreviewRuntime) -> None:
        self._runtime = runtime

    def routes(self) -> list[web.RouteDef]:
        """Every route, under `/sdapi/v1`."""
        gets: dict[str, Handler] = {
            "options": self.get_options,
            "sd-models": self.list_models,
            "sd-vae": self.list_nothing,
            "loras": self.list_nothing,
            "samplers": self.list_samplers,
            "upscalers": self.list_upscalers,
            "progress": self.get_progress,
            "memory": self.get_memory,
        }
        posts: dict[str, Handler] = {
            "txt2img": self.make_from_text,
            "img2img": self.make_from_image,
            "extra-single-image": self.upscale_one,
            "extra-batch-images": self.upscale_batch,
            "interrogate": self.interrogate,
            "png-info": self.read_picture_info,
            "options": self.set_options,
            "interrupt": self.interrupt,
            "refresh-checkpoints": self.refresh,
            "refresh-loras": self.refresh,
            "unload-checkpoint": self.unload,
            "reload-checkpoint": self.reload,
        }
        return [
            *(web.get(f"/sdapi/v1/{name}", handler) for name, handler in gets.items()),
            *(web.post(f"/sdapi/v1/{name}", handler) for name, handler in posts.items()),
        ]

    async def make_from_text(self, request: web.Request) -> web.Response:
        """POST txt2img."""
        body = await _read(request, TextToImage)
        return web.json_response(await generation.text_to_image(self._runtime, body))

    async def make_from_image(self, request: web.Request) -> web.Response:
        """POST img2img."""
        body = await _read(request, ImageToImage)
        return web.json_response(await generation.image_to_image(self._runtime, body))

    async def upscale_one(self, request: web.Request) -> web.Response:
        """POST extra-single-image."""
        body = await _read(request, SingleUpscaling)
        return web.json_response(await extras.upscale_one(self._runtime, body))

    async def upscale_batch(self, request: web.Request) -> web.Response:
        """POST extra-batch-images."""
        body = await _read(request, BatchUpscaling)
        return web.json_response(await extras.upscale_batch(self._runtime, body))

    async def interrogate(self, request: web.Request) -> web.Response:
        """POST interrogate."""
        body = await _read(request, Interrogation)
        return web.json_response(await extras.interrogate(self._runtime, body))

    async def read_picture_info(self, request: web.Request) -> web.Response:
        """POST png-info."""
        return web.json_response(await extras.read_picture_info(await _read(request, PictureInfo)))

    async def get_progress(self, request: web.Request) -> web.Response:
        """GET progress; `skip_current_image=true` leaves the live preview out."""
        state = self._runtime.jobs.state
        image = None
        if request.query.get("skip_current_image", "").lower() not in {"1", "true", "on", "yes"}:
            image = await asyncio.to_thread(state.look)
        answer = {
            "progress": state.progress(),
            "eta_relative": state.eta_relative(),
            "state": state.snapshot(),
            "current_image": image and encode_image(image),
            "textinfo": None,
        }
        return web.json_response(answer)

    async def interrupt(self, _: web.Request) -> web.Response:
        """POST interrupt: at once, without the queue."""
        self._runtime.jobs.state.interrupted = True
        return web.json_response({})

    async def get_options(self, _: web.Request) -> web.Response:
        """GET options."""
        return web.json_response(self._runtime.options.as_dict())

    async def set_options(self, request: web.Request) -> web.Response:
        """POST options; another checkpoint is loaded before the answer, in its turn.

        Raises:
            FailedError: no checkpoint of exactly this title, name or hash.
            KeyError: an unknown option; those before it stay set.
        """
        runtime = self._runtime
        settings = _SETTINGS.validate_json(await request.read())
        name = settings.get("sd_model_checkpoint")
        if name is not None and runtime.checkpoints.find(name) is None:
            raise FailedError("RuntimeError", f"model {name!r} not found")
        changed = [key for key, value in settings.items() if runtime.options.store(key, value)]
        if "sd_model_checkpoint" in changed:
            await runtime.jobs.run_untracked("load", runtime.load_selected)
        return web.json_response(None)

    async def list_models(self, _: web.Request) -> web.Response:
        """GET sd-models."""
        return web.json_response(self._runtime.checkpoints.describe())

    async def list_samplers(self, _: web.Request) -> web.Response:
        """GET samplers."""
        return web.json_response(describe_samplers())

    async def list_upscalers(self, _: web.Request) -> web.Response:
        """GET upscalers."""
        return web.json_response([upscaler.describe() for upscaler in UPSCALERS])

    async def list_nothing(self, _: web.Request) -> web.Response:
        """GET sd-vae and loras: the preview has none."""
        return web.json_response([])

    async def get_memory(self, _: web.Request) -> web.Response:
        """GET memory, in bytes; as on a server without GPU."""
        # Linux counts the resident set in KiB, macOS in bytes
        unit = 1 if sys.platform == "darwin" else 1024
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        ram = {"free": total - used, "used": used, "total": total}
        return web.json_response({"ram": ram, "cuda": {"error": "unavailable"}})

    async def refresh(self, _: web.Request) -> web.Response:
        """POST refresh-checkpoints and refresh-loras: waits its turn, finds nothing new."""
        await self._runtime.jobs.run_untracked("refresh", _do_nothing)
        return web.json_response(None)

    async def unload(self, _: web.Request) -> web.Response:
        """POST unload-checkpoint."""
        self._runtime.unload()
        return web.json_response({})

    async def reload(self, _: web.Request) -> web.Response:
        """POST reload-checkpoint."""
        await self._runtime.jobs.run_untracked("load", self._runtime.load_selected)
        return web.json_response({})


async def _read(request: web.Request, model: type[BodyType]) -> BodyType:
    return model.model_validate_json(await request.read())


async def _do_nothing() -> None:
    pass
