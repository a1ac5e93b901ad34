"""Names and types of outputs."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from darkroom.tasks import Task
from darkroom.testing import InMemoryBlobStore
from darkroom_agent import outputs as module
from darkroom_agent.outputs import OutputStore, name_type
from darkroom_agent.runtimes import Outputs
from darkroom_agent.threads import Threads

MakeTask = Callable[..., Task]

HEADS = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpg": b"\xff\xd8\xff\xe0",
    "gif": b"GIF89a",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm",
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "bin": b"no such thing",
}


@pytest.mark.parametrize("extension", HEADS)
def test_the_extension_follows_the_bytes(extension: str) -> None:
    assert extension == name_type(HEADS[extension] + bytes(300))[0]


@pytest.fixture
def threads() -> Any:
    made = Threads(4)
    yield made
    made.close()


async def test_images_are_numbered_in_their_order_beside_the_answer(make_task: MakeTask, threads: Threads) -> None:
    blobs = InMemoryBlobStore()
    task = make_task()
    images = tuple(HEADS[kind] + bytes(300) for kind in ("png", "jpg", "gif"))
    stored = await OutputStore(blobs, threads).store(task, Outputs(images, {"info": 1}))
    found = re.fullmatch(r"(s3://bucket/output/test-t2i/test-t2i-[a-z0-9]{4})\.out", stored.output_url)
    assert found
    stem = found.group(1)
    assert (f"{stem}-1.png", f"{stem}-2.jpg", f"{stem}-3.gif") == stored.images
    assert images == tuple(blobs.files[link] for link in stored.images)
    assert b'{"info":1}' == blobs.files[stored.output_url]


async def test_a_mark_that_is_taken_is_drawn_again_and_overwrites_nothing(
    make_task: MakeTask, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = ["aaaa", "aaaa", "bbbb"]
    monkeypatch.setattr(module, "draw_mark", lambda: marks.pop(0))
    blobs = InMemoryBlobStore()
    store = OutputStore(blobs, threads)
    first = await store.store(make_task(), Outputs((HEADS["png"],), {"attempt": 1}))
    second = await store.store(make_task(), Outputs((HEADS["png"],), {"attempt": 2}))
    assert first.output_url.endswith("-aaaa.out")
    assert second.output_url.endswith("-bbbb.out")
    assert b'{"attempt":1}' == blobs.files[first.output_url]
