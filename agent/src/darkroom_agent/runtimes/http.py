"""The adapter for a runtime of one's own: any server that keeps the contract of `docs/runtimes.md`.

`GET /ready`, `POST /run`, `GET /progress`, `POST /interrupt`. An answer of 4xx is the runtime's no and ends the
task; 5xx, and no answer, mean that it may go right elsewhere or later.
"""

import asyncio
import re
from typing import Any

import aiohttp
from pydantic_core import from_json
from yarl import URL

from darkroom.errors import ExecutionError, TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom_agent.encodings import decode
from darkroom_agent.faults import RuntimeLostError, describe
from darkroom_agent.runtimes import InputRules, Job, Outputs, RuntimeConfig
from darkroom_agent.runtimes.answers import CONNECTION, tidy, without_files
from darkroom_agent.runtimes.bodies import JsonBody

QUICK = 10.0
"""Seconds for what a runtime answers beside its work."""

SLOW = 120.0
"""Seconds for reading one file."""

_OK = 200
_NOT_NOW = frozenset({401, 403, 404, 405, 408, 421, 425, 429})  # says something about the call, not about the task
_GATEWAY_FAULTS = frozenset({502, 503, 504})
_CLIENT_FAULT = 400
_SERVER_FAULT = 500
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class HttpRuntime:
    """A `Runtime`: one server of one's own."""

    inputs = InputRules(kinds=frozenset({"image", "video", "audio"}))

    def __init__(self, config: RuntimeConfig) -> None:
        self._base = URL(config.url.rstrip("/") + "/")
        self._session: aiohttp.ClientSession | None = None
        self._interrupted = False
        self._left_behind = True  # as far as we know

    async def ready(self) -> str | None:
        """See `Runtime.ready`. What the runtime waits for, it may say as `waiting_for`."""
        if self._left_behind:  # by an agent before us, or when its answer was lost
            await self._request("POST", self._base / "interrupt", {})
            self._left_behind = False
        status, data = await self._request("GET", self._base / "ready")
        if status == _OK:
            return None
        return tidy(str(_read_object(data).get("waiting_for") or f"a good answer (it answered {status})"))

    async def run(self, job: Job) -> Outputs:
        """See `Runtime.run`."""
        self._interrupted = False
        task = {"id": job.id, "type": job.type, "content": job.content, "model": job.model}
        try:
            status, data = await self._request("POST", self._base / "run", task, seconds=None)
        except RuntimeLostError:
            self._left_behind = True
            self._check()
            raise
        self._check()
        if status != _OK:
            raise _read_fault(status, data)
        images, rest = _read_answer(data)
        if not any(map(_is_link, images)):
            await job.hand_over()  # nothing is asked of it any more
        files = tuple([await self._read_image(image) for image in images])
        return Outputs(files, without_files(rest))

    async def progress(self) -> float | None:
        """See `Runtime.progress`."""
        status, data = await self._request("GET", self._base / "progress")
        progress = _read_object(data).get("progress") if status == _OK else None
        return min(max(float(progress), 0.0), 1.0) if isinstance(progress, int | float) else None

    async def interrupt(self) -> None:
        """See `Runtime.interrupt`."""
        self._interrupted = True
        await self._request("POST", self._base / "interrupt", {})

    async def close(self) -> None:
        """See `Runtime.close`."""
        if self._session is not None:
            await self._session.close()

    def _check(self) -> None:
        """Whatever an interrupted run answers is no success: it may hold a part of the images."""
        if self._interrupted:
            raise TaskInterruptedError("interrupted", "the job was interrupted")

    async def _read_image(self, image: str) -> bytes:
        if _is_link(image):
            return await self._download(image)
        try:
            return decode(image, strict=True)
        except ValueError as error:
            message = "the runtime answered with images that are neither links nor base64"
            raise TaskInterruptedError("bad_answer", message) from error

    async def _download(self, link: str) -> bytes:
        """Read what the runtime itself serves: links elsewhere, and redirects, could lead anywhere inside."""
        try:
            url = URL(link)
        except ValueError as error:
            raise TaskInterruptedError("bad_answer", "the runtime answered with a link that is none") from error
        if url.origin() != self._base.origin():
            raise TaskInterruptedError(
                "bad_answer", f"the runtime answered with a link to {url.host}, not to itself"
            )
        status, data = await self._request("GET", url, seconds=SLOW)
        if status != _OK:
            raise TaskInterruptedError("output_missing", f"the runtime answered {status} for an output")
        return data

    async def _request(
        self, method: str, url: URL, body: object = None, *, seconds: float | None = QUICK
    ) -> tuple[int, bytes]:
        data = None if body is None else JsonBody(body)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json", **CONNECTION.get(method, {})}
        request = self._connections().request(method, url, data=data, headers=headers, allow_redirects=False)
        try:
            async with asyncio.timeout(seconds), request as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise RuntimeLostError("runtime_lost", describe(error)) from error

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=QUICK)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session


def _is_link(image: str) -> bool:
    return image.startswith(("http://", "https://"))


def _read_answer(data: bytes) -> tuple[list[str], JsonObject]:
    """The images of a good answer, and the rest of it."""
    try:
        answer = from_json(data)
    except ValueError as error:
        raise TaskInterruptedError("bad_answer", "the runtime answered with something other than JSON") from error
    images = answer.get("images", []) if isinstance(answer, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise TaskInterruptedError("bad_answer", "the runtime answered without a list of texts as images")
    return images, {name: value for name, value in answer.items() if name != "images"}


def _read_fault(status: int, data: bytes) -> ExecutionError:
    """What an answer that is not 200 means."""
    told = _read_object(data).get("error")
    error = told if isinstance(told, dict) else {}
    message = tidy(str(error.get("message") or "")) or f"the runtime answered {status}"
    named = str(error.get("type") or "")
    if status in _GATEWAY_FAULTS:
        return RuntimeLostError("runtime_lost", message)
    if status < _CLIENT_FAULT:
        return TaskInterruptedError("bad_answer", f"the runtime answered {status}, not 200")
    if status >= _SERVER_FAULT or (status in _NOT_NOW and not error):
        return TaskInterruptedError(named if _TYPE.fullmatch(named) else "runtime_error", message)
    return TaskFailedError(named if _TYPE.fullmatch(named) else "invalid_content", message)


def _read_object(data: bytes) -> JsonObject:
    try:
        read: Any = from_json(data)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
