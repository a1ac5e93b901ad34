"""How far a prompt is, from what ComfyUI tells over its socket.

It is a comfort, not the truth: without the socket nothing is different but that nobody knows how far the run is.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Self

import aiohttp
from pydantic_core import from_json

from darkroom.models import JsonObject
from darkroom_agent.faults import RuntimeLostError, describe
from darkroom_agent.flags import Flag, cancel
from darkroom_agent.logs import EventLog
from darkroom_agent.runtimes.comfyui_server import ComfyServer

log = EventLog(__name__)

_CONNECT = 3.0
"""Seconds that a run waits for its socket."""

_SAMPLING = 10.0
_OTHER = 0.5
"""Seconds that nodes are taken to need until they have been seen at work."""

_WEIGHT = 0.3
_PREVIEW = b"\x00\x00\x00\x01"  # the kind of a binary frame; the kind of image follows, in four bytes too
_PREVIEW_HEAD = 8


class NodeTimes:
    """A running mean, in seconds, of what nodes of each class take."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}

    def note(self, class_type: str, seconds: float) -> None:
        """Take one more measurement in; late ones weigh more."""
        mean = self._means.get(class_type, seconds)
        self._means[class_type] = mean + _WEIGHT * (seconds - mean)

    def expect(self, class_type: str) -> float:
        """How long such a node will take, at a guess where none was seen yet."""
        guess = _SAMPLING if "sampler" in class_type.lower() else _OTHER
        return max(self._means.get(class_type, guess), 0.001)


class Progress:
    """What one prompt's events add up to.

    Attributes:
        blocked: what nodes said that kept others from running.
        ended: set when the server says that nothing more will come; the history is written by then.
    """

    def __init__(self, prompt_id: str, graph: JsonObject, times: NodeTimes) -> None:
        self.blocked: dict[str, str] = {}
        self.ended = Flag()
        self._prompt_id = prompt_id
        self._classes = {node_id: str(node["class_type"]) for node_id, node in graph.items()}
        self._times = times
        self._weights = {node_id: times.expect(name) for node_id, name in self._classes.items()}
        self._done: dict[str, float] = {}  # 0 to 1 for each node that has begun
        self._current: tuple[str, float] | None = None
        self._share = 0.0

    @property
    def share(self) -> float:
        """How far the prompt is (0 to 1), by the time that its nodes are expected to take. It never falls."""
        whole = sum(self._weights.values())
        done = sum(self._weights[node_id] * part for node_id, part in self._done.items())
        self._share = max(self._share, min(done / whole, 1.0) if whole else 1.0)
        return self._share

    def take(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one event in. Those of other prompts reach every socket, too."""
        if data.get("prompt_id") != self._prompt_id:
            return
        match kind:
            case "execution_cached":
                self._leave_out(str(node) for node in data.get("nodes") or ())
            case "executing" if data.get("node") is None:
                self._end_node()
                self.ended.set()
            case "executing":
                self._begin(str(data["node"]))
            case "executed":
                self._mark({str(data.get("node")): 1.0})
            case "progress":
                self._mark({str(data.get("node")): _part(data)})
            case "progress_state":
                nodes = data.get("nodes") or {}
                self._mark({str(n): 1.0 if s.get("state") == "finished" else _part(s) for n, s in nodes.items()})
            case "execution_error" if data.get("exception_type") == "ExecutionBlocked":
                # not the end: what depends on the node is left out, the rest runs
                self.blocked[str(data.get("node_id"))] = str(data.get("exception_message") or "")

    def _mark(self, parts: Mapping[str, float]) -> None:
        """Nodes that others make while they run are not the graph's own, and not counted."""
        self._done.update({node_id: part for node_id, part in parts.items() if node_id in self._classes})

    def _leave_out(self, cached: Iterable[str]) -> None:
        """Cached nodes take no time: counted as done, they would make the rest seem to end at once."""
        self._weights.update((node_id, 0.0) for node_id in cached if node_id in self._classes)

    def _begin(self, node_id: str) -> None:
        self._end_node()
        self._current = (node_id, time.monotonic())

    def _end_node(self) -> None:
        if self._current is None:
            return
        node_id, since = self._current
        self._mark({node_id: 1.0})
        if node_id in self._classes:
            self._times.note(self._classes[node_id], time.monotonic() - since)
        self._current = None


class Follower:
    """Reads the socket for one prompt, as a context manager.

    Attributes:
        preview: the last image that was sent of what the run has so far.
        deaf: set while there is no socket.
    """

    def __init__(self, server: ComfyServer, client_id: str, progress: Progress) -> None:
        self._server = server
        self._client_id = client_id
        self._progress = progress
        self.preview: bytes | None = None
        self.deaf = Flag()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_CONNECT):
                socket = await self._server.listen(self._client_id)
        except (RuntimeLostError, TimeoutError) as error:
            log.warning("progress_unheard", error=describe(error))
            self.deaf.set()
        else:
            self._reader = asyncio.create_task(self._read(socket), name="read comfyui's events")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reader is not None:
            await cancel(self._reader)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read on, whatever comes: a client that stops reading holds up the events of all."""
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    with suppress(ValueError, TypeError, AttributeError, KeyError):  # an event of another version
                        event = from_json(message.data)
                        self._progress.take(str(event.get("type")), event.get("data") or {})
                elif message.type is aiohttp.WSMsgType.BINARY and message.data.startswith(_PREVIEW):
                    self.preview = message.data[_PREVIEW_HEAD:]
            log.warning("progress_lost", code=socket.close_code)
        finally:
            self.deaf.set()
            await socket.close()


def _part(state: Mapping[str, Any]) -> float:
    whole = float(state.get("max") or 0)
    return min(max(float(state.get("value") or 0) / whole, 0.0), 1.0) if whole > 0 else 0.0
