"""A runtime of one's own: turns images upside down. `python http_runtime.py PORT [HOST]`; needs aiohttp, Pillow."""

import asyncio
import base64
import io
import sys

from aiohttp import web
from PIL import Image, ImageOps

STEPS = 10
gpu, state = asyncio.Lock(), {"progress": 0.0, "interrupted": False}
routes = web.RouteTableDef()


@routes.get("/ready")
async def ready(_: web.Request) -> web.Response:
    """Say 200 when the next task may begin: nothing is left to load, and nothing runs."""
    if gpu.locked():
        return web.json_response({"waiting_for": "the last task"}, status=503)
    return web.json_response({})


@routes.post("/run")
async def run(request: web.Request) -> web.Response:
    """Do one task: `{"id", "type", "content", "model"}` in, `{"images": […]}` and more out."""
    task, file = await request.json(), io.BytesIO()
    if task["type"] != "extra-single-image":
        return fail(422, "unsupported_task", f"this runtime flips single images; not {task['type']}")
    async with gpu:
        state.update(progress=0.0, interrupted=False)
        for step in range(STEPS):
            state["progress"] = step / STEPS
            await asyncio.sleep(task["content"].get("seconds", 0) / STEPS)  # hard work
            if state["interrupted"]:
                return fail(503, "interrupted", "as asked")
        try:
            image = Image.open(io.BytesIO(base64.b64decode(task["content"]["image"])))
            ImageOps.flip(image).save(file, "PNG")
        except (KeyError, OSError, ValueError):
            return fail(422, "invalid_content", "content.image is no image")
    return web.json_response({"images": [base64.b64encode(file.getvalue()).decode()], "flipped": task["id"]})


def fail(status: int, type_: str, message: str) -> web.Response:
    """Say no: 4xx ends the task, 5xx has it tried again."""
    return web.json_response({"error": {"type": type_, "message": message}}, status=status)


@routes.get("/progress")
async def progress(_: web.Request) -> web.Response:
    """Say how far the task is, from 0 to 1."""
    return web.json_response({"progress": state["progress"]})


@routes.post("/interrupt")
async def interrupt(_: web.Request) -> web.Response:
    """Have the task end soon, with whatever answer."""
    state["interrupted"] = True
    return web.json_response({})


if __name__ == "__main__":
    app = web.Application(client_max_size=512 * 1024**2)  # images are large
    app.add_routes(routes)
    web.run_app(app, host="".join(sys.argv[2:]) or "127.0.0.1", port=int(sys.argv[1]), print=None)
