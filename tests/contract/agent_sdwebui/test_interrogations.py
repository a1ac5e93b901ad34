"""Interrogations by SD WebUI: words for an image."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import FailedForNowError
from darkroom_agent.runtimes import Job, RuntimeConfig
from darkroom_agent.runtimes.sdwebui import SdWebUi
from darkroom_local.preview.server import make_app

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\n"
    b"IDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
).decode()


def job(**content: Any) -> Job:
    return Job(TaskType.INTERROGATE, {"image": PNG} | content)


@pytest.fixture
def answers() -> dict[str, Any]:
    """What the server answers, and, as `asked`, what it was sent."""
    return {"caption": "a dog"}


@pytest.fixture
async def webui(answers: dict[str, Any]) -> AsyncIterator[SdWebUi]:
    async def interrogate(request: web.Request) -> web.Response:
        answers["asked"] = await request.json()
        return web.json_response({"caption": answers["caption"]})

    app = web.Application()
    app.add_routes([web.post("/sdapi/v1/interrogate", interrogate)])
    server = TestServer(app)
    await server.start_server()
    adapter = SdWebUi(RuntimeConfig(str(server.make_url("")), model="any"))
    yield adapter
    await adapter.close()
    await server.close()


async def test_the_caption_is_the_answer_and_there_are_no_images(webui: SdWebUi, answers: dict[str, Any]) -> None:
    outputs = await webui.run(job())
    assert ((), {"caption": "a dog"}) == (outputs.images, outputs.answer)
    assert {"image": PNG, "model": "clip"} == answers["asked"]  # without a checkpoint: none is needed
    await webui.run(job(model="deepdanbooru"))
    assert "deepdanbooru" == answers["asked"]["model"]


@pytest.mark.parametrize("caption", ["<error>", "a dog, <error>"])
async def test_a_caption_that_says_error_is_a_failure(
    webui: SdWebUi, answers: dict[str, Any], caption: str
) -> None:
    answers["caption"] = caption
    with pytest.raises(FailedForNowError) as caught:
        await webui.run(job())
    assert "interrogation_failed" == caught.value.type


async def test_an_answer_without_a_caption_is_tried_again(webui: SdWebUi, answers: dict[str, Any]) -> None:
    answers["caption"] = None
    with pytest.raises(TaskInterruptedError):
        await webui.run(job())


async def test_what_is_no_image_is_not_sent(webui: SdWebUi, answers: dict[str, Any]) -> None:
    with pytest.raises(TaskFailedError, match=r"content\.image"):
        await webui.run(job(image="c2VjcmV0"))
    assert "asked" not in answers


@pytest.mark.parametrize(
    ("model", "words"), [("clip", "picture of 1 by 1 pixels"), ("deepdanbooru", "preview_caption")]
)
async def test_the_preview_finds_words(model: str, words: str) -> None:
    server = TestServer(make_app(step_seconds=0, load_seconds=0))
    await server.start_server()
    adapter = SdWebUi(RuntimeConfig(str(server.make_url(""))))
    outputs = await adapter.run(job(model=model))
    assert words in outputs.answer["caption"]
    await adapter.close()
    await server.close()
