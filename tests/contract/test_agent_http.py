"""The adapter for a runtime of one's own: against the documented example, and against one that misbehaves."""

import asyncio
import base64
import io
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from PIL import Image, ImageOps

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import RuntimeLostError
from darkroom_agent.runtimes import Job, RuntimeConfig, load
from darkroom_agent.runtimes.http import HttpRuntime

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "http_runtime.py"


def picture() -> Image.Image:
    return Image.linear_gradient("L").convert("RGB").resize((8, 16))


def encode(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def job(type_: TaskType = TaskType.EXTRA_SINGLE_IMAGE, **content: Any) -> Job:
    return Job(type_, {"image": encode(picture())} | content, "a-model", "task-1")


Connect = Callable[[str], HttpRuntime]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[HttpRuntime] = []

    def make(url: str) -> HttpRuntime:
        made.append(HttpRuntime(RuntimeConfig(url)))
        return made[-1]

    yield make
    for adapter in made:
        await adapter.close()


async def answers(adapter: HttpRuntime) -> bool:
    try:
        return await adapter.ready() is None
    except RuntimeLostError:
        return False


@pytest.fixture
async def example(connect: Connect) -> AsyncIterator[HttpRuntime]:
    """The adapter, and behind it exactly the file that the documentation shows."""
    port = unused_port()
    process = await asyncio.create_subprocess_exec(sys.executable, str(EXAMPLE), str(port))
    adapter = connect(f"http://127.0.0.1:{port}")
    async with asyncio.timeout(20):
        while not await answers(adapter):  # noqa: ASYNC110  a process tells nobody
            await asyncio.sleep(0.05)
    yield adapter
    process.kill()
    await process.wait()


async def test_the_documented_example_does_tasks_tells_progress_and_stops(example: HttpRuntime) -> None:
    outputs = await example.run(job())
    (image,) = (Image.open(io.BytesIO(data)) for data in outputs.images)
    assert ImageOps.flip(picture()).tobytes() == image.tobytes()
    assert {"flipped": "task-1"} == outputs.answer

    with pytest.raises(TaskFailedError, match="flips single images; not text-to-image") as caught:
        await example.run(job(TaskType.TEXT_TO_IMAGE))
    assert "unsupported_task" == caught.value.type
    with pytest.raises(TaskFailedError, match=r"content\.image is no image"):
        await example.run(job(image="no image"))

    run = asyncio.create_task(example.run(job(seconds=3)))
    async with asyncio.timeout(10):
        while await example.progress() != 0.1:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.02)
        assert "the last task" == await example.ready()
        await example.interrupt()
        with pytest.raises(TaskInterruptedError, match="interrupted"):
            await run
    assert 1 == len((await example.run(job())).images)


@dataclass
class Own:
    """A runtime that answers as it is told, and what it was asked."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    body: bytes | None = None
    drops: bool = False
    ready_status: int = 200
    ready_answer: Any = field(default_factory=dict)
    task: Any = None
    hold: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    served: int = 0
    interrupts: int = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**28)
        app.add_routes([web.post("/base/run", self.run), web.get("/base/ready", self.ready)])
        app.add_routes([web.post("/base/interrupt", self.interrupt)])
        app.add_routes([web.get("/base/files/1.png", self.file), web.get("/base/away", self.redirect)])
        return app

    async def run(self, request: web.Request) -> web.Response:
        self.task = await request.json()
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.drops:
            assert request.transport is not None
            request.transport.close()
        if self.body is not None:
            return web.Response(status=self.status, body=self.body)
        return web.json_response(self.answer, status=self.status)

    async def interrupt(self, _: web.Request) -> web.Response:
        self.interrupts += 1
        return web.json_response({})

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response(self.ready_answer, status=self.ready_status)

    async def file(self, _: web.Request) -> web.Response:
        self.served += 1
        return web.Response(body=b"one")

    async def redirect(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("files/1.png")


@pytest.fixture
def own() -> Own:
    return Own()


@pytest.fixture
async def url(own: Own) -> AsyncIterator[str]:
    server = TestServer(own.app())
    await server.start_server()
    yield str(server.make_url("/base"))
    await server.close()


def test_the_adapter_is_found_by_its_entry_point() -> None:
    assert isinstance(load("http", RuntimeConfig("http://127.0.0.1:1")), HttpRuntime)


async def test_the_task_goes_out_whole(own: Own, url: str, connect: Connect) -> None:
    outputs = await connect(url).run(job(note="x"))
    content = {"image": encode(picture()), "note": "x"}
    assert {"id": "task-1", "type": "extra-single-image", "content": content, "model": "a-model"} == own.task
    assert ((), {}) == (outputs.images, outputs.answer)


async def test_images_may_be_base64_data_uris_or_links_to_the_runtime(own: Own, url: str, connect: Connect) -> None:
    text = base64.b64encode(b"two").decode()
    own.answer = {
        "images": [f"{url}/files/1.png", text, f"data:image/png;base64,{text}"],
        "seed": 7,
        "echo": text * 999,
    }
    outputs = await connect(url).run(job())
    assert (b"one", b"two", b"two") == outputs.images
    assert {"seed": 7, "echo": f"<{len(text) * 999} characters of base64>"} == outputs.answer


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (["http://169.254.169.254/latest/meta-data"], "not to itself"),
        (["http://127.0.0.1:1/x.png"], "not to itself"),
        (["{url}/away"], "answered 302"),
        (["{url}/gone.png"], "answered 404"),
        (["http://[x"], "a link that is none"),
        (["$%&"], "neither links nor base64"),
        ([7], "a list of texts"),
        ("x", "a list of texts"),
    ],
)
async def test_images_from_elsewhere_or_of_no_kind_are_not_taken(
    own: Own, url: str, connect: Connect, images: Any, reason: str
) -> None:
    own.answer = {"images": [i.format(url=url) if isinstance(i, str) else i for i in images]}
    if isinstance(images, str):
        own.answer = {"images": images}
    with pytest.raises(TaskInterruptedError, match=reason):
        await connect(url).run(job())


@pytest.mark.parametrize(
    ("status", "answer", "kind", "type_", "text"),
    [
        (
            422,
            {"error": {"type": "bad_image", "message": "no /srv/x/y.png"}},
            TaskFailedError,
            "bad_image",
            "no …/y.png",
        ),
        (404, {"error": {"type": "no_model", "message": "gone"}}, TaskFailedError, "no_model", "gone"),
        (400, {"detail": "no"}, TaskFailedError, "invalid_content", "answered 400"),
        (400, {"error": {"type": "<b>", "message": "no"}}, TaskFailedError, "invalid_content", "no"),
        (404, {}, TaskInterruptedError, "runtime_error", "answered 404"),
        (429, {}, TaskInterruptedError, "runtime_error", "answered 429"),
        (
            500,
            {"error": {"type": "out_of_memory", "message": "too large"}},
            TaskInterruptedError,
            "out_of_memory",
            "too large",
        ),
        (500, [], TaskInterruptedError, "runtime_error", "answered 500"),
        (503, {}, RuntimeLostError, "runtime_lost", "answered 503"),
    ],
)
async def test_the_status_decides_what_becomes_of_the_task(
    own: Own, url: str, connect: Connect, status: int, answer: Any, kind: type[Exception], type_: str, text: str
) -> None:
    own.status, own.answer = status, answer
    with pytest.raises((TaskFailedError, TaskInterruptedError)) as caught:
        await connect(url).run(job())
    assert (kind, type_) == (type(caught.value), caught.value.type)
    assert text in str(caught.value)


async def test_an_answer_that_is_no_json_is_tried_again(own: Own, url: str, connect: Connect) -> None:
    own.body = b"<html>"
    with pytest.raises(TaskInterruptedError) as caught:
        await connect(url).run(job())
    assert "bad_answer" == caught.value.type


async def test_a_run_is_handed_over_once_nothing_is_asked_of_the_runtime_any_more(
    own: Own, url: str, connect: Connect
) -> None:
    handed_over = asyncio.Event()

    async def hand_over() -> None:
        handed_over.set()

    own.answer = {"images": [base64.b64encode(b"two").decode()]}
    await connect(url).run(replace(job(), hand_over=hand_over))
    assert handed_over.is_set()
    handed_over.clear()
    own.answer = {"images": [f"{url}/files/1.png"]}  # the next run may well write a file of that name
    outputs = await connect(url).run(replace(job(), hand_over=hand_over))
    assert ((b"one",), 1, False) == (outputs.images, own.served, handed_over.is_set())


@pytest.mark.parametrize("status", [201, 202, 204, 304, 307])
async def test_an_answer_of_another_kind_is_no_word_on_the_task(
    own: Own, url: str, connect: Connect, status: int
) -> None:
    own.status, own.body = status, b""
    with pytest.raises(TaskInterruptedError, match=f"answered {status}, not 200"):
        await connect(url).run(job())


async def test_what_nobody_waits_for_is_stopped_before_the_runtime_is_asked_whether_it_is_ready(
    own: Own, url: str, connect: Connect
) -> None:
    adapter = connect(url)
    assert [None, None] == [await adapter.ready() for _ in range(2)]
    assert 1 == own.interrupts, "an agent before us may have left something"
    own.drops = True
    with pytest.raises(RuntimeLostError):
        await adapter.run(job())
    assert await adapter.ready() is None
    assert 2 == own.interrupts, "our own may go on"


async def test_a_connection_that_breaks_is_a_lost_runtime(own: Own, url: str, connect: Connect) -> None:
    own.drops = True
    with pytest.raises(RuntimeLostError):
        await connect(url).run(job())


@pytest.mark.parametrize("drops", [False, True])
async def test_an_interrupted_run_is_interrupted_however_it_ends(
    own: Own,
    url: str,
    connect: Connect,
    drops: bool,  # noqa: FBT001  a table's column
) -> None:
    own.hold, own.drops = asyncio.Event(), drops
    adapter = connect(url)
    run = asyncio.create_task(adapter.run(job()))
    async with asyncio.timeout(5):
        await own.asked.wait()
    await adapter.interrupt()
    own.hold.set()
    with pytest.raises(TaskInterruptedError) as caught:
        await run
    assert "interrupted" == caught.value.type


async def test_readiness_is_the_runtimes_own_word(own: Own, url: str, connect: Connect) -> None:
    adapter = connect(url)
    assert await adapter.ready() is None
    own.ready_status, own.ready_answer = 503, {"waiting_for": "the weights"}
    assert "the weights" == await adapter.ready()
    own.ready_answer = []
    assert "503" in str(await adapter.ready())
    with pytest.raises(RuntimeLostError):
        await connect("http://127.0.0.1:1").ready()


async def test_progress_and_interrupt_may_be_missing(url: str, connect: Connect) -> None:
    adapter = connect(url)
    assert await adapter.progress() is None
    await adapter.interrupt()
    assert () == (await adapter.run(job())).images


def test_the_documentation_shows_the_example_as_it_is() -> None:
    documentation = EXAMPLE.parents[1] / "runtimes.md"
    assert f"```python\n{EXAMPLE.read_text()}```\n" in documentation.read_text()
