"""The adapter for ComfyUI against a server that misbehaves on command: hangs, losses, lies."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import (
    RuntimeBusyError,
    RuntimeHungError,
    RuntimeLostError,
)
from darkroom_agent.runtimes import Job, Outputs, RuntimeConfig
from darkroom_agent.runtimes.comfyui import ComfyUi

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "3": {"class_type": "KSampler", "inputs": {"steps": 10}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}
SAVED = {"9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}}


@dataclass
class Comfy:
    """What the server is made to do, and what it was asked. A prompt stays in the queue until a test ends it."""

    status: int = 200
    body: bytes | None = None
    node_errors: dict[str, Any] = field(default_factory=dict)
    drops: list[str] = field(default_factory=list)  # "before" or "after" a prompt is heard, one each
    faults: list[int | str] = field(default_factory=list)  # of the next looks into the history
    deaf: bool = False
    files: dict[str, bytes] = field(default_factory=lambda: {"a.png": b"one"})
    running: dict[str, Any] = field(default_factory=dict)
    pending: dict[str, Any] = field(default_factory=dict)
    waits: bool = False
    history: dict[str, Any] = field(default_factory=dict)
    posts: list[tuple[str, Any]] = field(default_factory=list)
    looks: int = 0
    socket: web.WebSocketResponse | None = None
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/ws", self.listen), web.post("/prompt", self.prompt), web.get("/view", self.view)])
        app.add_routes([web.get("/queue", self.queue), web.get("/history/{id}", self.look)])
        app.add_routes([web.post(f"/{path}", self.post) for path in ("queue", "interrupt", "free")])
        app.add_routes([web.get(f"/{path}", self.tell) for path in ("system_stats", "object_info")])
        app.on_shutdown.append(self.hang_up)
        return app

    async def prompt(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        drop = self.drops.pop(0) if self.drops else None
        self.posts.append(("prompt", body))
        if drop != "before" and self.status == 200:
            (self.pending if self.waits else self.running)[body["prompt_id"]] = body
            self.heard.set()
        if drop is not None:
            return self.hang_up_on(request)
        if self.body is not None or self.status != 200:
            return web.Response(status=self.status, body=self.body or b"Server got itself in trouble")
        answer = {"prompt_id": body["prompt_id"], "number": 0, "node_errors": self.node_errors}
        return web.json_response(answer)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        if self.deaf:
            return web.Response(status=500)
        self.socket = web.WebSocketResponse()
        await self.socket.prepare(request)
        async for _ in self.socket:
            pass
        return self.socket

    async def look(self, request: web.Request) -> web.StreamResponse:
        self.looks += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop":
            return self.hang_up_on(request)
        if fault == "slow":
            await asyncio.sleep(0.3)
        if isinstance(fault, int):
            return web.Response(status=fault)
        found = self.history.get(request.match_info["id"])
        return web.json_response({request.match_info["id"]: found} if found else {})

    async def queue(self, _: web.Request) -> web.Response:
        def describe(prompts: dict[str, Any]) -> list[Any]:
            return [[0, i, b["prompt"], {"client_id": b["client_id"]}, ["9"]] for i, b in prompts.items()]

        return web.json_response({"queue_running": describe(self.running), "queue_pending": describe(self.pending)})

    async def post(self, request: web.Request) -> web.Response:
        self.posts.append((request.path[1:], await request.json()))
        return web.Response()

    async def view(self, request: web.Request) -> web.Response:
        data = self.files.get(request.query["filename"])
        return web.Response(status=404) if data is None else web.Response(body=data)

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response({"system": {}})

    def hang_up_on(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def hang_up(self, _: web.Application) -> None:
        if self.socket is not None:
            await self.socket.close()

    def end(self, outputs: dict[str, Any] | None = None, *messages: Any, status: str = "success") -> None:
        """End the prompt that runs."""
        prompt_id, body = self.running.popitem()
        told = {"status_str": status, "completed": status == "success", "messages": list(messages)}
        outputs = SAVED if outputs is None else outputs
        self.history[prompt_id] = {"prompt": [0, prompt_id, body["prompt"], {}, ["9"]], "outputs": outputs}
        self.history[prompt_id]["status"] = told

    async def say(self, kind: str, **data: Any) -> None:
        """Send an event of the prompt in hand."""
        assert self.socket is not None
        prompt_id = self.posts[0][1]["prompt_id"]
        await self.socket.send_str(json.dumps({"type": kind, "data": {"prompt_id": prompt_id, **data}}))

    def paths(self) -> list[str]:
        return [path for path, _ in self.posts]


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Comfy:
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui._PAUSE", 0.01)
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui.POLL_DEAF", 0.02)
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui.POLL_HEARING", 0.05)
    return Comfy()


@pytest.fixture
async def server(comfy: Comfy) -> AsyncIterator[TestServer]:
    server = TestServer(comfy.app())
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def adapter(server: TestServer) -> AsyncIterator[ComfyUi]:
    adapter = ComfyUi(RuntimeConfig(str(server.make_url(""))))
    yield adapter
    await adapter.close()


Start = Callable[[], "asyncio.Task[Outputs]"]


@pytest.fixture
async def start(adapter: ComfyUi) -> AsyncIterator[Start]:
    """Starts runs, and leaves none behind."""
    runs: list[asyncio.Task[Outputs]] = []

    def begin() -> asyncio.Task[Outputs]:
        runs.append(asyncio.create_task(adapter.run(Job(TaskType.PIPELINE, GRAPH))))
        return runs[-1]

    yield begin
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)


async def end_of(run: "asyncio.Task[Outputs]") -> Outputs:
    async with asyncio.timeout(5):
        return await run


async def heard(comfy: Comfy) -> None:
    async with asyncio.timeout(5):
        await comfy.heard.wait()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.005)


async def test_only_the_graph_is_passed_on_under_ids_of_our_own(comfy: Comfy, start: Start) -> None:
    run = start()
    await heard(comfy)
    comfy.end()
    assert (b"one",) == (await end_of(run)).images
    ((_, body),) = comfy.posts
    assert {"prompt", "prompt_id", "client_id"} == set(body)
    assert set(GRAPH) == set(body["prompt"])
    assert body["client_id"].startswith("darkroom-")


async def test_the_end_is_noticed_by_the_socket_at_once(
    comfy: Comfy, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui.POLL_HEARING", 60)
    run = start()
    await heard(comfy)
    await until(lambda: comfy.looks)
    comfy.end()
    await comfy.say("executing", node=None)
    assert (b"one",) == (await end_of(run)).images


async def test_progress_comes_from_the_socket_and_stands_still_with_a_hung_worker(
    comfy: Comfy, adapter: ComfyUi, start: Start
) -> None:
    start()
    await heard(comfy)
    await comfy.say("progress", node="3", value=5, max=10)
    await until(lambda: adapter._prompt and adapter._prompt.progress and adapter._prompt.progress.share)
    first = await adapter.progress()
    looks = comfy.looks
    await until(lambda: comfy.looks > looks + 3)
    assert first == await adapter.progress()
    assert first is not None
    assert 0.3 < first < 0.6


async def test_previews_come_from_the_socket(comfy: Comfy, adapter: ComfyUi, start: Start) -> None:
    assert await adapter.preview() is None
    start()
    await heard(comfy)
    assert comfy.socket is not None
    await comfy.socket.send_bytes(b"\x00\x00\x00\x01\x00\x00\x00\x01jpeg")
    await until(lambda: adapter._prompt and adapter._prompt.follower and adapter._prompt.follower.preview)
    assert b"jpeg" == await adapter.preview()


@pytest.mark.parametrize("when", ["at the start", "in between"])
async def test_without_the_socket_nothing_is_different_but_progress(
    comfy: Comfy, adapter: ComfyUi, start: Start, when: str
) -> None:
    comfy.deaf = when == "at the start"
    run = start()
    await heard(comfy)
    if comfy.socket is not None:
        await comfy.socket.close()
        await until(lambda: adapter._prompt and adapter._prompt.follower and adapter._prompt.follower.deaf.is_set())
    assert await adapter.progress() is None
    comfy.end()
    assert (b"one",) == (await end_of(run)).images


async def test_events_that_make_no_sense_are_passed_over(comfy: Comfy, adapter: ComfyUi, start: Start) -> None:
    run = start()
    await heard(comfy)
    assert comfy.socket is not None
    for text in ("{", "[]", '{"type": "progress", "data": {"node": 3, "value": "x"}}', '{"data": null}'):
        await comfy.socket.send_str(text)
    await comfy.say("progress_state", nodes=["3"])
    await comfy.socket.send_bytes(b"\x00\x00\x00\x02text")
    await comfy.say("progress", node="3", value=5, max=10)
    await until(lambda: adapter._prompt and adapter._prompt.progress and adapter._prompt.progress.share)
    comfy.end()
    await comfy.say("executing", node=None)
    assert (b"one",) == (await end_of(run)).images


async def test_a_prompt_whose_answer_was_lost_is_not_sent_again(comfy: Comfy, start: Start) -> None:
    comfy.drops = ["after"]
    run = start()
    await heard(comfy)
    comfy.end()
    assert (b"one",) == (await end_of(run)).images
    assert ["prompt"] == comfy.paths()


async def test_a_prompt_that_was_not_heard_is_sent_again_under_the_same_id(comfy: Comfy, start: Start) -> None:
    comfy.drops = ["before", "before"]
    run = start()
    await heard(comfy)
    comfy.end()
    await end_of(run)
    assert 3 == len(comfy.posts)
    assert 1 == len({body["prompt_id"] for _, body in comfy.posts})


async def test_a_server_that_never_hears_is_lost(comfy: Comfy, start: Start) -> None:
    comfy.drops = ["before"] * 9
    with pytest.raises(RuntimeLostError):
        await end_of(start())
    assert 3 == len(comfy.posts)


@pytest.mark.parametrize(
    ("status", "body", "kind", "type_"),
    [
        (500, None, TaskInterruptedError, "runtime_error"),
        (503, None, RuntimeLostError, "runtime_lost"),
        (401, None, TaskInterruptedError, "runtime_refused"),
        (404, None, TaskInterruptedError, "runtime_error"),
        (413, None, TaskFailedError, "invalid_workflow"),
        (200, b"<html>", TaskInterruptedError, "bad_answer"),
        (200, b"{}", TaskInterruptedError, "runtime_error"),
        (400, b'{"error": {"type": "invalid_prompt", "message": "no"}}', TaskFailedError, "invalid_workflow"),
        (400, b'{"error": "no", "node_errors": null}', TaskFailedError, "invalid_workflow"),
    ],
)
async def test_what_the_server_answers_to_a_prompt_decides_what_becomes_of_the_task(
    comfy: Comfy, start: Start, status: int, body: bytes | None, kind: type[Exception], type_: str
) -> None:
    comfy.status, comfy.body = status, body
    with pytest.raises((TaskFailedError, TaskInterruptedError)) as caught:
        await end_of(start())
    assert (kind, type_) == (type(caught.value), caught.value.type)


async def test_a_workflow_that_lost_a_part_is_stopped_and_fails(comfy: Comfy, start: Start) -> None:
    fault = {"message": "Required input is missing", "details": "image"}
    comfy.node_errors = {"3": {"errors": [fault], "dependent_outputs": ["9"], "class_type": "KSampler"}}
    with pytest.raises(TaskFailedError, match=r"node 3 \(KSampler\): Required input is missing: image") as caught:
        await end_of(start())
    assert "partial_workflow" == caught.value.type
    assert ["prompt", "queue", "interrupt"] == comfy.paths()


async def test_a_prompt_that_neither_history_nor_queue_know_is_lost(comfy: Comfy, start: Start) -> None:
    run = start()
    await heard(comfy)
    comfy.running.clear()  # the server was restarted: all of it is in memory
    with pytest.raises(TaskInterruptedError) as caught:
        await end_of(run)
    assert "prompt_lost" == caught.value.type


async def test_one_look_that_fails_is_not_the_end(comfy: Comfy, start: Start) -> None:
    comfy.faults = [500, "drop", "fine", 502, 500, "fine"]
    run = start()
    await heard(comfy)
    await until(lambda: not comfy.faults)
    comfy.end()
    assert (b"one",) == (await end_of(run)).images


async def test_a_server_that_is_slow_to_answer_is_waited_for(comfy: Comfy, adapter: ComfyUi, start: Start) -> None:
    adapter._server._quick = 0.05
    comfy.faults = ["slow"] * 4
    run = start()
    await heard(comfy)
    await until(lambda: not comfy.faults)
    comfy.end()
    assert (b"one",) == (await end_of(run)).images


async def test_a_server_that_ends_in_mid_run_is_lost(comfy: Comfy, server: TestServer, start: Start) -> None:
    run = start()
    await heard(comfy)
    await server.close()
    with pytest.raises(RuntimeLostError):
        await end_of(run)


async def test_a_queue_that_nobody_works_on_is_a_hung_runtime_and_stays_unready(
    comfy: Comfy, adapter: ComfyUi, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui.IDLE_LIMIT", 0.1)
    comfy.waits = True
    with pytest.raises(RuntimeHungError):
        await end_of(start())
    with pytest.raises(RuntimeBusyError, match="a worker"):
        await adapter.ready()
    assert ["prompt"] == comfy.paths()  # the prompt stays: it shows that the worker is dead


async def test_an_interrupt_takes_the_prompt_out_of_the_queue_and_off_the_worker(
    comfy: Comfy, adapter: ComfyUi, start: Start
) -> None:
    run = start()
    await heard(comfy)
    prompt_id = comfy.posts[0][1]["prompt_id"]
    await adapter.interrupt()
    assert [("queue", {"delete": [prompt_id]}), ("interrupt", {"prompt_id": prompt_id})] == comfy.posts[1:3]
    comfy.end({}, ["execution_interrupted", {"node_id": "3"}], status="error")
    with pytest.raises(TaskInterruptedError) as caught:
        await end_of(run)
    assert "interrupted" == caught.value.type


async def test_an_error_that_was_told_on_the_socket_is_not_the_end(comfy: Comfy, start: Start) -> None:
    run = start()
    await heard(comfy)
    blocked = {"exception_type": "ExecutionBlocked", "exception_message": "Execution Blocked: too dark"}
    await comfy.say("execution_error", node_id="9", node_type="SaveImage", **blocked)
    await comfy.say("executing", node="3")
    outputs = {"3": {"text": ["dark"]}}
    comfy.end(outputs)
    await comfy.say("executing", node=None)
    ending = await end_of(run)
    assert {"9": "Execution Blocked: too dark"} == ending.answer["blocked"]
    assert (["9"], ()) == (ending.answer["without_output"], ending.images)


async def test_an_output_that_is_gone_has_results_forgotten_and_is_tried_again(comfy: Comfy, start: Start) -> None:
    comfy.files.clear()
    run = start()
    await heard(comfy)
    comfy.end()
    with pytest.raises(TaskInterruptedError) as caught:
        await end_of(run)
    assert "output_missing" == caught.value.type
    assert ("free", {"unload_models": True, "free_memory": True}) == comfy.posts[-1]


async def test_a_cached_node_of_which_nothing_is_told_is_run_again(comfy: Comfy, start: Start) -> None:
    run = start()
    await heard(comfy)
    comfy.end({}, ["execution_cached", {"nodes": ["9"]}])
    with pytest.raises(TaskInterruptedError) as caught:
        await end_of(run)
    assert "output_missing" == caught.value.type
    assert ("free", {"unload_models": True, "free_memory": True}) == comfy.posts[-1]


async def test_results_of_nodes_that_were_made_by_others_are_not_left_in_the_cache(
    comfy: Comfy, start: Start
) -> None:
    run = start()
    await heard(comfy)
    comfy.end({"9.0.0.1": SAVED["9"]})
    assert (b"one",) == (await end_of(run)).images
    assert "free" == comfy.posts[-1][0]
