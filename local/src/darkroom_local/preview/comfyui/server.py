"""The routes of a ComfyUI server. Each works under `/api/` too."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from darkroom_local.preview.comfyui.executor import Executor
from darkroom_local.preview.comfyui.folders import Folders, OutsideError
from darkroom_local.preview.comfyui.image_nodes import make_image_nodes
from darkroom_local.preview.comfyui.prompts import Item, Prompts
from darkroom_local.preview.comfyui.sampling_nodes import make_sampling_nodes
from darkroom_local.preview.comfyui.sockets import Sockets
from darkroom_local.preview.comfyui.validation import fault, validate
from darkroom_local.preview.models import DEFAULT_MODELS
from darkroom_local.preview.runtime import Pace

VERSION = "0.3.64"
"""The ComfyUI whose answers these are."""

LARGEST_REQUEST = 100 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(models: Sequence[str] = DEFAULT_MODELS, pace: Pace = Pace()) -> web.Application:  # noqa: B008  it is frozen
    """Build the application. Its files lie in a temporary folder, and go with it."""
    folder = tempfile.TemporaryDirectory(prefix="preview-comfyui-")
    folders = Folders(Path(folder.name))
    folders.make()
    app = web.Application(client_max_size=LARGEST_REQUEST)
    server = ComfyServer(folders, list(models), pace)
    for prefix in ("", "/api"):
        app.add_routes(server.routes(prefix))

    async def run(_: web.Application) -> AsyncIterator[None]:
        work = [asyncio.create_task(server.prompts.work()), asyncio.create_task(server.sockets.pump())]
        yield
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.to_thread(folder.cleanup)

    async def hang_up(_: web.Application) -> None:
        await server.sockets.close()

    app.cleanup_ctx.append(run)
    app.on_shutdown.append(hang_up)
    return app


class ComfyServer:
    """Handlers: each reads a request, calls one function, answers."""

    def __init__(self, folders: Folders, models: Sequence[str], pace: Pace) -> None:
        self._folders = folders
        nodes = [*make_image_nodes(folders), *make_sampling_nodes(models, pace)]
        self._classes = {node.name: node for node in nodes}
        self.sockets = Sockets()
        self.prompts = Prompts(Executor(self._classes), self.sockets)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Every route."""
        gets: dict[str, Handler] = {
            "/ws": self.listen,
            "/prompt": self.get_status,
            "/queue": self.get_queue,
            "/history": self.get_history,
            "/history/{prompt_id}": self.get_history,
            "/view": self.view,
            "/system_stats": self.get_system,
            "/object_info": self.get_classes,
            "/object_info/{name}": self.get_classes,
        }
        posts: dict[str, Handler] = {
            "/prompt": self.post_prompt,
            "/queue": self.change_queue,
            "/history": self.change_history,
            "/interrupt": self.interrupt,
            "/free": self.free,
            "/upload/image": self.upload,
        }
        return [
            *(web.get(prefix + path, handler) for path, handler in gets.items()),
            *(web.post(prefix + path, handler) for path, handler in posts.items()),
        ]

    async def post_prompt(self, request: web.Request) -> web.Response:
        """Look at a graph and queue what of it can run. A body that is no JSON ends in a 500, as it does there."""
        body = await request.json()
        if "prompt" not in body:
            message = "No prompt provided"
            answer = {"error": fault("no_prompt", message, message), "node_errors": {}}
            return web.json_response(answer, status=400)
        number = float(body["number"]) if "number" in body else self.prompts.next_number()
        verdict = validate(body["prompt"], self._classes)
        if verdict.error is not None:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        prompt_id = str(body.get("prompt_id", uuid4()))
        extra_data = body.get("extra_data", {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        self.prompts.put(Item(number, prompt_id, body["prompt"], extra_data, verdict.outputs))
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        """Open a socket."""
        return await self.sockets.serve(request, {"status": self.prompts.status()})

    async def get_status(self, _: web.Request) -> web.Response:
        """How much is left to do."""
        return web.json_response(self.prompts.status())

    async def get_queue(self, _: web.Request) -> web.Response:
        """What runs and what waits."""
        running = [self.prompts.running.describe()] if self.prompts.running else []
        pending = [item.describe() for item in self.prompts.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def change_queue(self, request: web.Request) -> web.Response:
        """Forget prompts that wait: `delete` names them, `clear` means all."""
        body = await request.json()
        known = [item.prompt_id for item in self.prompts.pending]
        for prompt_id in known if body.get("clear") else body.get("delete", []):
            self.prompts.delete(prompt_id)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        """What became of one prompt, or of all."""
        asked = request.match_info.get("prompt_id")
        history = self.prompts.history
        return web.json_response({i: entry for i, entry in history.items() if asked in {None, i}})

    async def change_history(self, request: web.Request) -> web.Response:
        """Forget what became of prompts: `delete` names them, `clear` means all."""
        body = await request.json()
        for prompt_id in list(self.prompts.history) if body.get("clear") else body.get("delete", []):
            self.prompts.history.pop(prompt_id, None)
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        """Stop the prompt that runs."""
        try:
            body = await request.json()
        except JSONDecodeError:
            body = {}
        self.prompts.interrupt(body.get("prompt_id"))
        return web.Response()

    async def free(self, request: web.Request) -> web.Response:
        """Forget what nodes made."""
        if (await request.json()).get("free_memory"):
            self.prompts.forget_results()
        return web.Response()

    async def upload(self, request: web.Request) -> web.Response:
        """Store a file."""
        form = await request.post()
        image = form.get("image")
        if not isinstance(image, web.FileField) or not image.filename:
            return web.Response(status=400)
        subfolder, kind = str(form.get("subfolder", "")), str(form.get("type") or "input")
        overwrite = form.get("overwrite") in {"true", "1"}
        try:
            name = self._folders.upload(image.filename, subfolder, kind, image.file.read(), overwrite=overwrite)
        except OutsideError:
            return web.Response(status=400)
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})

    async def view(self, request: web.Request) -> web.StreamResponse:
        """Read a file."""
        name = request.query.get("filename", "")
        if name.startswith("/") or ".." in name:
            return web.Response(status=400)
        try:
            folder = self._folders.folder(request.query.get("type", "output"), request.query.get("subfolder", ""))
        except OutsideError:
            return web.Response(status=403)
        path = folder / Path(name).name
        if not name or not path.is_file():
            return web.Response(status=404)
        return web.FileResponse(path, headers={"Content-Disposition": f'filename="{path.name}"'})

    async def get_system(self, _: web.Request) -> web.Response:
        """What the server is."""
        system = {"os": "posix", "comfyui_version": VERSION, "python_version": sys.version, "argv": ["preview"]}
        device = {"name": "preview", "type": "cpu", "index": None, "vram_total": 0, "vram_free": 0}
        return web.json_response({"system": system, "devices": [device]})

    async def get_classes(self, request: web.Request) -> web.Response:
        """What nodes there are: all, or one."""
        asked = request.match_info.get("name")
        found: dict[str, Any] = {n: c.describe() for n, c in self._classes.items() if asked in {None, n}}
        return web.json_response(found)
