"""The adapter for ComfyUI against the preview's ComfyUI: workflows that are executed for real."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from PIL import Image

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import RuntimeBusyError, RuntimeLostError
from darkroom_agent.runtimes import Job, Outputs, RuntimeConfig, input_rules, load
from darkroom_agent.runtimes.comfyui import ComfyUi
from darkroom_local.preview.comfyui.server import make_app
from darkroom_local.preview.runtime import Pace

STEP = 0.02
PLACE = ("1", "inputs", "image")


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def save(source: str) -> dict[str, Any]:
    return node("SaveImage", images=[source, 0], filename_prefix="ComfyUI")


def empty(size: int = 16, colour: int = 0x336699) -> dict[str, Any]:
    return node("EmptyImage", width=size, height=size, batch_size=1, color=colour)


def scale(source: str, width: int, **more: Any) -> dict[str, Any]:
    sizes = {"upscale_method": "lanczos", "width": width, "height": 10, "crop": "disabled"}
    return node("ImageScale", image=[source, 0], **(sizes | more))


def sample(steps: int) -> dict[str, Any]:
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        "6": node("CLIPTextEncode", text="a lighthouse", clip=["4", 1]),
        "3": node(
            "KSampler",
            model=["4", 0],
            positive=["6", 0],
            negative=["6", 0],
            latent_image=["5", 0],
            seed=1,
            steps=steps,
            cfg=8,
            sampler_name="euler",
            scheduler="normal",
            denoise=1,
        ),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": save("8"),
    }


def picture(size: tuple[int, int] = (40, 20)) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize(size).save(file, "PNG")
    return file.getvalue()


def opened(outputs: Outputs) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in outputs.images]


def job(graph: dict[str, Any], files: dict[Any, bytes] | None = None) -> Job:
    return Job(TaskType.PIPELINE, graph, files=files or {})


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    server = TestServer(make_app(pace=Pace(STEP, 0)))
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def comfyui(server: TestServer) -> AsyncIterator[ComfyUi]:
    adapter = ComfyUi(RuntimeConfig(str(server.make_url(""))))
    yield adapter
    await adapter.close()


@pytest.fixture
async def ask(server: TestServer) -> AsyncIterator[Ask]:
    """Asks the server behind the adapter's back."""
    async with aiohttp.ClientSession(server.make_url("/")) as session:

        async def ask(path: str, body: Any = None) -> Any:
            async with session.request("POST" if body is not None else "GET", path, json=body) as answer:
                return await answer.json() if answer.content_type == "application/json" else await answer.text()

        yield ask


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(5):
        while not (found := await condition()):  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.005)
        return found


def test_the_adapter_is_found_by_its_entry_point_and_wants_files() -> None:
    adapter = load("comfyui", RuntimeConfig("http://127.0.0.1:1"))
    assert isinstance(adapter, ComfyUi)
    assert not input_rules(adapter).encoded


async def test_outputs_come_in_the_order_of_the_nodes(comfyui: ComfyUi) -> None:
    graph = {"10": save("3"), "9": save("2"), "1": empty(), "2": scale("1", 20), "3": scale("1", 30)}
    outputs = await comfyui.run(job(graph))
    assert [(20, 10), (30, 10)] == [image.size for image in opened(outputs)]
    assert ["9", "10"] == list(outputs.answer["outputs"])
    assert {(0x33, 0x66, 0x99)} == {image.getpixel((5, 5)) for image in opened(outputs)}


async def test_a_run_is_handed_over_once_it_is_in_the_history(comfyui: ComfyUi, ask: Ask) -> None:
    others: list[Outputs] = []

    async def hand_over() -> None:
        assert 1 == len(await ask("/history"))
        others.append(await comfyui.run(job({"1": empty(32), "9": save("1")})))

    outputs = await comfyui.run(replace(job({"1": empty(), "9": save("1")}), hand_over=hand_over))
    assert [(16, 16)] == [image.size for image in opened(outputs)]
    assert [(32, 32)] == [image.size for image in opened(others[0])]


async def test_a_links_file_reaches_the_node_by_a_name_in_a_folder_of_the_runs_own(
    comfyui: ComfyUi, ask: Ask
) -> None:
    graph = {"1": node("LoadImage", image="https://example.com/x.png"), "2": scale("1", 20), "9": save("2")}
    outputs = await comfyui.run(job(graph, {PLACE: picture()}))
    (entry,) = (await ask("/history")).values()
    sent = entry["prompt"][2]
    assert f"darkroom/{entry['prompt'][1]}/1.png" == sent["1"]["inputs"]["image"]
    assert f"darkroom/{entry['prompt'][1]}/3" == sent["9"]["inputs"]["filename_prefix"]
    (image,) = opened(outputs)
    expected = Image.open(io.BytesIO(picture())).resize((20, 10), Image.Resampling.LANCZOS)
    assert expected.tobytes() == image.tobytes()


async def test_an_image_in_the_graph_itself_is_used(comfyui: ComfyUi) -> None:
    uri = "data:image/png;base64," + base64.b64encode(picture()).decode()
    graph = {"1": node("LoadImage", image=uri), "2": node("ImageInvert", image=["1", 0]), "9": save("2")}
    (image,) = opened(await comfyui.run(job(graph)))
    expected = Image.open(io.BytesIO(picture())).point(lambda value: 255 - value)
    assert expected.tobytes() == image.tobytes()


async def test_a_cached_run_saves_again_under_a_name_of_its_own(comfyui: ComfyUi) -> None:
    graph = {"1": empty(), "2": scale("1", 20), "9": save("2")}
    first, second = await comfyui.run(job(graph)), await comfyui.run(job(graph))
    assert opened(first)[0].tobytes() == opened(second)[0].tobytes()
    assert ([], ["1", "2"]) == (first.answer["cached"], second.answer["cached"])
    folders = [run.answer["outputs"]["9"]["images"][0]["subfolder"] for run in (first, second)]
    assert folders[0] != folders[1]


async def test_a_cached_preview_is_an_output_all_the_same(comfyui: ComfyUi) -> None:
    graph = {"1": empty(), "2": node("PreviewImage", images=["1", 0])}
    runs = [await comfyui.run(job(graph)) for _ in range(2)]
    assert ["1", "2"] == runs[1].answer["cached"]
    assert runs[0].images == runs[1].images


async def test_previews_are_left_out_where_something_was_saved(comfyui: ComfyUi) -> None:
    graph = {"1": empty(), "2": node("PreviewImage", images=["1", 0]), "3": scale("1", 20), "9": save("3")}
    assert [(20, 10)] == [image.size for image in opened(await comfyui.run(job(graph)))]


async def test_a_refused_workflow_fails_and_names_its_nodes(comfyui: ComfyUi) -> None:
    graph = {"1": empty(), "2": scale("1", -4, upscale_method="best"), "9": save("2")}
    with pytest.raises(
        TaskFailedError, match=r"node 2 \(ImageScale\): Value not in list: upscale_method"
    ) as caught:
        await comfyui.run(job(graph))
    assert "invalid_workflow" == caught.value.type
    assert "Value -4 smaller than min of 0" in str(caught.value)


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        ({"1": empty(), "9": node("NoSuchNode", images=["1", 0])}, "node NoSuchNode does not exist"),
        ({"1": empty()}, "no outputs"),
        ({"1": node("LoadImage", image="gone.png"), "9": save("1")}, "Invalid image file: gone.png"),
        ({"1": empty(), "9": {"inputs": {}}}, "content.9.class_type"),
    ],
)
async def test_a_workflow_that_cannot_run_fails(comfyui: ComfyUi, graph: dict[str, Any], text: str) -> None:
    with pytest.raises(TaskFailedError, match=text) as caught:
        await comfyui.run(job(graph))
    assert "invalid_workflow" == caught.value.type


async def test_a_workflow_of_which_a_part_was_dropped_fails_and_is_stopped(comfyui: ComfyUi, ask: Ask) -> None:
    graph = sample(500) | {"12": node("ImageInvert"), "13": save("12")}
    with pytest.raises(
        TaskFailedError, match=r"node 12 \(ImageInvert\): Required input is missing: image"
    ) as caught:
        await comfyui.run(job(graph))
    assert "partial_workflow" == caught.value.type

    async def idle() -> Any:
        return (await ask("/queue"))["queue_running"] == []

    await until(idle)


async def test_a_node_that_fails_is_named_without_its_traceback(comfyui: ComfyUi) -> None:
    blended = node("ImageBlend", image1=["1", 0], image2=["1", 0], blend_factor=0.5, blend_mode="magic")
    with pytest.raises(TaskFailedError) as caught:
        await comfyui.run(job({"1": empty(), "7": blended, "9": save("7"), "8": save("1")}))
    assert ("node_failed", "node 7 (ImageBlend): Unsupported blend mode: magic") == (
        caught.value.type,
        str(caught.value),
    )


async def test_progress_rises_step_by_step_and_is_unknown_when_idle(comfyui: ComfyUi) -> None:
    assert await comfyui.progress() is None
    run = asyncio.create_task(comfyui.run(job(sample(20))))
    seen: list[float] = []
    while not run.done():
        seen += [progress] if (progress := await comfyui.progress()) is not None else []
        await asyncio.sleep(STEP / 2)
    assert 2 == len((await run).images)
    assert sorted(seen) == seen
    assert len(set(seen)) > 8
    assert await comfyui.progress() is None


async def test_an_interrupted_run_ends_soon_and_the_next_one_is_none_the_worse(comfyui: ComfyUi, ask: Ask) -> None:
    run = asyncio.create_task(comfyui.run(job(sample(10_000))))

    async def samples() -> bool:
        return (await comfyui.progress() or 0) > 0

    await until(samples)
    await comfyui.interrupt()
    with pytest.raises(TaskInterruptedError) as caught:
        async with asyncio.timeout(2):
            await run
    assert "interrupted" == caught.value.type
    assert [] == (await ask("/queue"))["queue_running"]
    await comfyui.interrupt()  # idle: harmless
    assert 2 == len((await comfyui.run(job(sample(1)))).images)


async def test_a_prompt_that_waits_behind_anothers_is_taken_back(comfyui: ComfyUi, ask: Ask) -> None:
    await ask("/prompt", {"prompt": sample(10_000), "prompt_id": "other"})
    run = asyncio.create_task(comfyui.run(job({"1": empty(), "9": save("1")})))

    async def waits() -> Any:
        return (await ask("/queue"))["queue_pending"]

    await until(waits)
    await comfyui.interrupt()
    with pytest.raises(TaskInterruptedError, match="interrupted"):
        async with asyncio.timeout(2):
            await run
    assert "other" == (await ask("/queue"))["queue_running"][0][1]  # which is none of our business


async def test_jobs_of_an_agent_before_us_are_stopped_before_the_server_is_ready(
    comfyui: ComfyUi, ask: Ask
) -> None:
    for number in range(2):
        await ask(
            "/prompt", {"prompt": sample(10_000 + number), "client_id": "darkroom-x", "prompt_id": str(number)}
        )
    with pytest.raises(RuntimeBusyError, match="the end of an earlier job"):
        await comfyui.ready()

    async def ready() -> bool:
        with suppress(RuntimeBusyError):
            return await comfyui.ready() is None
        return False

    await until(ready)
    assert {"queue_running": [], "queue_pending": []} == await ask("/queue")


async def test_jobs_of_others_are_left_alone_and_waited_behind(comfyui: ComfyUi, ask: Ask) -> None:
    await ask("/prompt", {"prompt": sample(10), "client_id": "somebody", "prompt_id": "other"})
    assert await comfyui.ready() is None
    assert 1 == len((await comfyui.run(job({"1": empty(), "9": save("1")}))).images)
    assert "success" == (await ask("/history/other"))["other"]["status"]["status_str"]


async def test_a_server_that_does_not_listen_is_waited_for() -> None:
    adapter = ComfyUi(RuntimeConfig("http://127.0.0.1:1"))
    with pytest.raises(RuntimeLostError):
        await adapter.ready()
    await adapter.close()


async def test_other_types_of_tasks_are_not_for_comfyui(comfyui: ComfyUi) -> None:
    with pytest.raises(TaskFailedError, match="pipeline"):
        await comfyui.run(Job(TaskType.TEXT_TO_IMAGE, {"prompt": "A dog"}))
