"""The preview runtime as a web application."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from darkroom_local.preview.errors import FailedError, PreviewError
from darkroom_local.preview.models import DEFAULT_MODELS
from darkroom_local.preview.runtime import Pace, PreviewRuntime
from darkroom_local.preview.sdapi import SdApi

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RUNTIME = web.AppKey("RUNTIME", PreviewRuntime)

logger = logging.getLogger(__name__)


def make_app(
    models: Iterable[str] = DEFAULT_MODELS, step_seconds: float = 0.02, load_seconds: float = 0.3
) -> web.Application:
    """Build the application; it answers at once and loads its first model meanwhile.

    Args:
        models: file names of the checkpoints that it pretends to have; the first is loaded.
        step_seconds: how long a sampling step, or one upscale, takes.
        load_seconds: how long loading a checkpoint takes.
    """
    runtime = PreviewRuntime(models, Pace(step_seconds, load_seconds))
    # requests carry images: no limit on their size, as in the WebUI
    app = web.Application(middlewares=[_log_request, _compress, _answer_errors], client_max_size=0)
    app[RUNTIME] = runtime
    app.add_routes(SdApi(runtime).routes())
    app.cleanup_ctx.append(_load_first_model)
    app.on_shutdown.append(_finish_job)
    return app


async def _load_first_model(app: web.Application) -> AsyncIterator[None]:
    runtime = app[RUNTIME]
    task = asyncio.create_task(runtime.jobs.run_untracked("first load", runtime.start), name="first load")
    yield
    task.cancel()
    await asyncio.wait([task])


async def _finish_job(app: web.Application) -> None:
    await app[RUNTIME].jobs.close()


@web.middleware
async def _log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.monotonic()
    status: int | str = "dropped"
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.monotonic() - started
        logger.info("%s %s %s %.3fs", request.method, request.path, status, seconds)


@web.middleware
async def _compress(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress for whoever asks for gzip, as the WebUI does from a thousand bytes on."""
    response = await handler(request)
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(body, bytes) and len(body) >= 1000 and "gzip" in request.headers.get("Accept-Encoding", ""):  # noqa: PLR2004
        response.enable_compression(web.ContentCoding.gzip)
    return response


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where errors become HTTP."""
    try:
        return await handler(request)
    except PreviewError as error:
        return web.json_response(error.as_answer(), status=error.status)
    except ValidationError as error:
        return web.json_response({"detail": _describe_faults(error)}, status=422)
    except web.HTTPException as error:
        return web.json_response({"detail": error.reason}, status=error.status)
    except Exception as error:
        # the WebUI, too, answers whatever went wrong with a 500
        logger.debug("request failed", exc_info=True)
        return web.json_response(FailedError(type(error).__name__, str(error)).as_answer(), status=500)


def _describe_faults(error: ValidationError) -> list[dict[str, Any]]:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": ["body", *fault["loc"]], "msg": fault["msg"], "type": fault["type"]} for fault in faults]
