"""ComfyUI's HTTP API, as far as the adapter needs it."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.models import JsonObject
from darkroom_agent.faults import RuntimeLostError, describe

QUICK = 10.0
"""Seconds for what ComfyUI answers beside its work. A node that holds Python's lock makes it slow."""

SLOW = 120.0
"""Seconds for what reads folders, which may lie in S3, or moves files."""

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes of one event: an error carries the node's inputs."""

_OK = 200
_REFUSED = 400
_TOO_LARGE = 413
_MISSING = frozenset({400, 403, 404})
_UNAUTHORIZED = frozenset({401, 403})
_GATEWAY_FAULTS = frozenset({502, 503, 504})
_PROMPT_ID, _EXTRA_DATA = 1, 3
_JSON = {"Content-Type": "application/json"}


class SlowAnswerError(RuntimeLostError):
    """The runtime did not answer in time; it may be busy."""


class MissingFileError(Exception):
    """The runtime has no such file."""


@dataclass(frozen=True)
class StoredFile:
    """A file on the server. `type` names the folder: `input`, `output` or `temp`."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True)
class Queue:
    """What waits and what runs: prompt ids with the ids of the clients that sent them."""

    running: Mapping[str, str]
    pending: Mapping[str, str]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


@dataclass(frozen=True)
class Receipt:
    """The answer to a prompt.

    Attributes:
        prompt_id: the id that it runs under; None where it was refused.
        node_errors: what is wrong with nodes; their branches are dropped, and the rest may run all the same.
        error: why it was refused.
    """

    prompt_id: str | None
    node_errors: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)


class ComfyServer:
    """One server. Calls raise `RuntimeLostError` where it does not answer, or not as ComfyUI.

    `quick` is how long it may take, in seconds, for what it answers beside its work.
    """

    def __init__(self, url: str, quick: float = QUICK) -> None:
        self._quick = quick
        self._base = url.rstrip("/") + "/"
        self._session: aiohttp.ClientSession | None = None

    async def look(self) -> None:
        """Ask for what it answers once it has imported its nodes."""
        await self._json("system_stats")
        await self._json("object_info", seconds=SLOW)

    async def post_prompt(self, prompt_id: str, client_id: str, graph: JsonObject) -> Receipt:
        """Put a graph into the queue. Nothing but the graph is a caller's: other fields can end the server.

        Raises:
            TaskFailedError: it is too large.
            TaskInterruptedError: the server had a fault of its own.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        status, data = await self._request("prompt", to_json(body), seconds=SLOW)
        answer = _read_object(data) if status in {_OK, _REFUSED} else {}
        if status == _OK and answer.get("prompt_id"):
            return Receipt(str(answer["prompt_id"]), _object(answer.get("node_errors")))
        if status == _REFUSED and answer.get("error"):
            error = answer["error"]
            told = error if isinstance(error, dict) else {"message": str(error)}
            return Receipt(None, _object(answer.get("node_errors")), told)
        if status == _TOO_LARGE:
            raise TaskFailedError("invalid_workflow", "the workflow is larger than the runtime takes")
        raise _fault(status)

    async def history(self, prompt_id: str) -> JsonObject | None:
        """What became of a prompt; None while it waits or runs, and when it is unknown."""
        entry = (await self._json(f"history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def queue(self) -> Queue:
        """What waits and what runs."""
        answer = await self._json("queue")
        return Queue(_clients(answer.get("queue_running")), _clients(answer.get("queue_pending")))

    async def stop(self, prompt_id: str) -> None:
        """Have a prompt that waits forgotten, and one that runs interrupted; harmless where it does neither."""
        await self._ask("queue", {"delete": [prompt_id]})
        await self._ask("interrupt", {"prompt_id": prompt_id})

    async def forget_results(self) -> None:
        """Have the caches of nodes' results, and the models, dropped before the next prompt."""
        await self._ask("free", {"unload_models": True, "free_memory": True})

    async def upload(self, name: str, subfolder: str, data: bytes | bytearray) -> str:
        """Store an input and return the name by which nodes find it: the server may have chosen another one.

        Raises:
            TaskFailedError: it is too large.
            TaskInterruptedError: the server did not take it.
        """
        form = aiohttp.FormData({"subfolder": subfolder, "type": "input"})
        form.add_field("image", io.BytesIO(data), filename=name, content_type="application/octet-stream")
        status, text = await self._request("upload/image", form, seconds=SLOW)
        if status == _TOO_LARGE:
            raise TaskFailedError(
                "input_too_large", f"an input of {len(data)} bytes is more than the runtime takes"
            )
        if status != _OK:
            raise _fault(status)
        stored = _read_object(text)
        return "/".join(part for part in (str(stored.get("subfolder") or ""), str(stored.get("name"))) if part)

    async def download(self, file: StoredFile) -> bytes:
        """Read a file.

        Raises:
            MissingFileError: it is not there.
        """
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        status, data = await self._request("view", query=query, seconds=SLOW)
        if status in _MISSING:
            raise MissingFileError(file.filename)
        if status != _OK:
            raise _fault(status)
        return data

    async def listen(self, client_id: str) -> aiohttp.ClientWebSocketResponse:
        """Open the socket that tells of the prompts of a client."""
        url = f"{self._base}ws?clientId={client_id}"
        try:
            return await self._connections().ws_connect(url, max_msg_size=LARGEST_EVENT)
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeLostError("runtime_lost", describe(error)) from error

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, path: str, body: JsonObject) -> None:
        status, _ = await self._request(path, to_json(body))
        if status != _OK:
            raise _fault(status)

    async def _json(self, path: str, *, seconds: float | None = None) -> JsonObject:
        status, data = await self._request(path, seconds=seconds)
        if status != _OK:
            raise _fault(status)
        return _read_object(data)

    async def _request(
        self,
        path: str,
        data: bytes | aiohttp.FormData | None = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> tuple[int, bytes]:
        """Post what is given, as JSON or as a form; get where nothing is."""
        body = io.BytesIO(data) if isinstance(data, bytes) else data  # a file object is sent bit by bit
        headers = {"Accept-Encoding": "identity", **(_JSON if isinstance(data, bytes) else {})}
        request = self._connections().request
        method = "GET" if data is None else "POST"
        limit = seconds or self._quick
        try:
            async with (
                asyncio.timeout(limit),
                request(method, self._base + path, data=body, params=query, headers=headers) as response,
            ):
                return response.status, await response.read()
        except TimeoutError as error:
            raise SlowAnswerError("runtime_lost", f"no answer to {path} within {limit:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeLostError("runtime_lost", describe(error)) from error

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=QUICK)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self._session


def _fault(status: int) -> TaskInterruptedError:
    """What an answer means that ComfyUI gives to no good request."""
    if status in _GATEWAY_FAULTS:
        return RuntimeLostError("runtime_lost", f"the runtime answered {status}")
    if status in _UNAUTHORIZED:
        return TaskInterruptedError(
            "runtime_refused", f"the runtime answered {status}: does it ask for a password?"
        )
    return TaskInterruptedError("runtime_error", f"the runtime answered {status}")


def _read_object(data: bytes) -> JsonObject:
    try:
        return _object(from_json(data))
    except ValueError as error:
        raise TaskInterruptedError("bad_answer", "the runtime answered with something other than JSON") from error


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _clients(items: object) -> dict[str, str]:
    """The clients by their prompts, from entries `[number, prompt id, graph, extra data, …]`."""
    found = {}
    for item in items if isinstance(items, list) else []:
        if isinstance(item, list) and len(item) > _EXTRA_DATA:
            found[str(item[_PROMPT_ID])] = str(_object(item[_EXTRA_DATA]).get("client_id") or "")
    return found
