"""What a runtime takes for links: base64 in their places, or the files themselves."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from darkroom.errors import TaskFailedError
from darkroom.tasks import Task, TaskType
from darkroom.testing import InMemoryBlobStore
from darkroom_agent.downloads import Budget, Downloads
from darkroom_agent.faults import FailedForNowError
from darkroom_agent.inputs import InputLimits, Inputs
from darkroom_agent.links import Link
from darkroom_agent.runtimes import IMAGES_ENCODED, InputRules, input_rules
from darkroom_agent.threads import Threads

LINK = "https://example.com/x.png"
LIMITS = InputLimits(count=3, seconds=5)
FILES = InputRules(kinds=frozenset({"image", "video"}), encoded=False, words=frozenset({"text"}))
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(64)


class OneFile(Downloads):
    """Every link leads to the same file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched = 0

    def budget(self) -> Budget:
        return Budget(1_000_000)

    async def fetch(self, link: Link, budget: Budget) -> bytes:
        budget.take(link, len(self.data))
        self.fetched += 1
        return self.data


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(1)
    yield threads
    threads.close()


Make = Callable[..., Task]


def task(make_task: Make, **content: Any) -> Task:
    return make_task(type=TaskType.PIPELINE, content={"1": {"class_type": "LoadImage", "inputs": content}})


async def test_files_stand_beside_a_content_that_keeps_its_links(
    make_task: Make, threads: Threads, png: bytes
) -> None:
    downloads = OneFile(png)
    whole = task(make_task, image=LINK, again=LINK, text=LINK)
    prepared = await Inputs(InMemoryBlobStore(), threads, downloads, LIMITS, FILES).prepare(whole)
    assert whole.content == prepared.content
    assert {("1", "inputs", "image"): png, ("1", "inputs", "again"): png} == prepared.files
    assert 1 == downloads.fetched


async def test_base64_takes_the_links_places_where_nothing_else_is_said(
    make_task: Make, threads: Threads, png: bytes
) -> None:
    prepared = await Inputs(InMemoryBlobStore(), threads, OneFile(png), LIMITS).prepare(task(make_task, image=LINK))
    assert base64.b64encode(png).decode() == prepared.content["1"]["inputs"]["image"]
    assert {} == prepared.files


@pytest.mark.parametrize(("rules", "taken"), [(FILES, True), (IMAGES_ENCODED, False)])
async def test_the_rules_say_what_kinds_of_file_are_taken(
    make_task: Make,
    threads: Threads,
    rules: InputRules,
    taken: bool,  # noqa: FBT001  a table's column
) -> None:
    inputs = Inputs(InMemoryBlobStore(), threads, OneFile(MP4), LIMITS, rules)
    if taken:
        assert {("1", "inputs", "video"): MP4} == (await inputs.prepare(task(make_task, video=LINK))).files
        return
    with pytest.raises(TaskFailedError, match=r"content\.1\.inputs\.video: .*video/mp4"):
        await inputs.prepare(task(make_task, video=LINK))


def test_an_adapter_without_rules_gets_images_as_base64() -> None:
    adapter: Any = object()
    assert IMAGES_ENCODED == input_rules(adapter)


async def test_the_same_link_again_counts_and_costs_again(make_task: Make, threads: Threads, png: bytes) -> None:
    class Small(OneFile):
        def budget(self) -> Budget:
            return Budget(2 * len(png) - 1)

    inputs = Inputs(InMemoryBlobStore(), threads, Small(png), LIMITS)
    with pytest.raises(TaskFailedError, match=r"content\.1\.inputs\.image: the task's inputs are larger"):
        await inputs.prepare(task(make_task, image=LINK, again=[LINK]))
    with pytest.raises(TaskFailedError, match="holds 4 links; at most 3"):
        await inputs.prepare(task(make_task, images=4 * [LINK]))


async def test_inputs_that_do_not_come_end_the_task_and_name_the_field(
    make_task: Make, threads: Threads, png: bytes
) -> None:
    class Slow(OneFile):
        async def fetch(self, link: Link, budget: Budget) -> bytes:
            if link.url != LINK:
                await asyncio.Event().wait()
            return await super().fetch(link, budget)

    inputs = Inputs(InMemoryBlobStore(), threads, Slow(png), InputLimits(count=3, seconds=0.1))
    with pytest.raises(FailedForNowError, match=r"content\.1\.inputs\.mask: .* did not come within 0.1 s"):
        await inputs.prepare(task(make_task, image=LINK, mask="https://example.com/slow.png"))
