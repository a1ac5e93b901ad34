"""Runs by the adapter for SD WebUI: its traps, one by one."""

import asyncio
import base64
import io
import json
from typing import Any

import pytest
from PIL import Image
from tests.contract.agent_sdwebui.webuis import PNG, V15, XL, Connect, WebUi, image, job

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import (
    FailedForNowError,
    RuntimeBusyError,
    RuntimeHungError,
    RuntimeLostError,
)
from darkroom_agent.flags import cancel
from darkroom_agent.runtimes import Previewing, RuntimeConfig, load
from darkroom_agent.runtimes.sdwebui import SdWebUi


def test_the_adapter_is_found_by_its_entry_point() -> None:
    assert isinstance(load("sdwebui", RuntimeConfig("http://127.0.0.1:1")), SdWebUi)


async def test_images_are_cut_out_between_the_grid_and_controlnets_maps(webui: WebUi, connect: Connect) -> None:
    webui.images = [image(text) for text in ("grid", "one", "two", "map")]
    webui.info = {"all_seeds": [1, 2], "index_of_first_image": 1}
    outputs = await connect().run(job())
    assert (b"one", b"two") == outputs.images


async def test_the_answer_is_kept_whole_but_for_the_files_in_it(webui: WebUi, connect: Connect) -> None:
    unit = {"image": PNG * 20, "mask": f"data:image/png;base64,{PNG}", "module": "canny"}
    webui.parameters = {"steps": 3, "alwayson_scripts": {"controlnet": {"args": [unit]}}}
    outputs = await connect().run(job())
    assert PNG not in json.dumps(outputs.answer)
    assert "images" not in outputs.answer
    kept = outputs.answer["parameters"]
    assert (3, "canny") == (kept["steps"], kept["alwayson_scripts"]["controlnet"]["args"][0]["module"])
    assert "v1-5-pruned-emaonly" == json.loads(outputs.answer["info"])["sd_model_name"]


async def test_the_images_of_a_batch_get_the_names_that_the_webui_insists_on(
    webui: WebUi, connect: Connect
) -> None:
    content = {"imageList": [{"data": PNG}, {"data": PNG, "name": "b.png"}]}
    await connect().run(job(type=TaskType.EXTRA_BATCH_IMAGES, content=content))
    assert ["", "b.png"] == [named["name"] for named in webui.body("extra-batch-images")["imageList"]]
    assert {"data": PNG} == content["imageList"][0]  # the task's own content is left alone


async def test_a_batch_that_comes_back_in_part_was_interrupted(webui: WebUi, connect: Connect) -> None:
    webui.fault = (200, {"html_info": "", "images": [image("one")]})
    content = {"imageList": [{"data": PNG, "name": "a"}, {"data": PNG, "name": "b"}]}
    with pytest.raises(TaskInterruptedError, match="made 1 of 2 images"):
        await connect().run(job(type=TaskType.EXTRA_BATCH_IMAGES, content=content))


@pytest.mark.parametrize("type_", [TaskType.EXTRA_SINGLE_IMAGE, TaskType.EXTRA_BATCH_IMAGES])
async def test_extras_give_their_images_and_need_no_model(webui: WebUi, connect: Connect, type_: TaskType) -> None:
    content = {"image": PNG, "imageList": [{"data": PNG, "name": "x"}]}
    outputs = await connect(model="gone").run(job(type=type_, content=content))
    assert ((b"one",), {"html_info": "<p>"}) == (outputs.images, outputs.answer)
    assert [str(type_)] == webui.paths()


async def test_each_job_has_a_connection_of_its_own(webui: WebUi, connect: Connect) -> None:
    adapter = connect()
    webui.fault = (500, {"error": "ValueError", "message": "no"})  # Forge closes the connection after it
    for _ in range(3):
        with pytest.raises(TaskFailedError):
            await adapter.run(job())
    assert 3 == len(set(webui.peers))


async def test_no_compression_is_asked_for(webui: WebUi, connect: Connect) -> None:
    await connect().run(job())
    assert {"identity"} == {headers["Accept-Encoding"] for _, _, headers in webui.requests}


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (
            422,
            {"detail": [{"loc": ["body", "steps"], "msg": "not an integer"}]},
            (TaskFailedError, "invalid_content", "content.steps: not an integer"),
        ),
        (
            404,
            {"error": "HTTPException", "detail": "Init image not found", "body": "", "errors": ""},
            (TaskFailedError, "invalid_content", "Init image not found"),
        ),
        (
            500,
            {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of memory."},
            (TaskInterruptedError, "out_of_memory", "CUDA out of memory."),
        ),
        (
            500,
            {"error": "OutOfMemoryError", "detail": "", "body": "", "message": "CUDA out of memory."},
            (TaskInterruptedError, "out_of_memory", "CUDA out of memory."),
        ),
        (
            500,
            {"error": "HTTPException", "detail": "Invalid encoded image", "body": "", "errors": ""},
            (TaskFailedError, "runtime_error", "Invalid encoded image"),
        ),
        (
            500,
            {"error": "NansException", "detail": "", "body": "", "errors": "A tensor with all NaNs"},
            (FailedForNowError, "nan_image", "NansException: A tensor with all NaNs"),
        ),
        (
            500,
            {"error": "FileNotFoundError", "detail": "", "body": "", "errors": "No /opt/models/SD/x.ckpt here"},
            (TaskFailedError, "runtime_error", "FileNotFoundError: No …/x.ckpt here"),
        ),
        (
            500,
            {"error": "E", "detail": "", "errors": 'Traceback (most recent call last):\n  File "/a/b.py"\nE: no'},
            (TaskFailedError, "runtime_error", "E: no"),
        ),
        (
            500,
            {
                "error": "RuntimeError",
                "detail": "",
                "errors": "DefaultCPUAllocator: can't allocate memory",
            },
            (TaskInterruptedError, "out_of_memory", "can't allocate memory"),
        ),
        (
            500,
            {"error": "RuntimeError", "detail": "", "errors": "CUDA error: device-side assert triggered"},
            (RuntimeHungError, "gpu_fault", "device-side assert"),
        ),
        (
            500,
            {"detail": "", "errors": "AttributeError: 'NoneType' object has no attribute 'sd_checkpoint_info'"},
            (RuntimeHungError, "runtime_hung", "failed to load"),
        ),
        (
            500,
            {"error": "AttributeError", "detail": "", "errors": "'NoneType' object has no attribute 'shape'"},
            (TaskFailedError, "runtime_error", "shape"),
        ),
        (404, {"detail": "Not Found"}, (TaskInterruptedError, "runtime_unsuitable", "does not serve")),
        (401, {"detail": "Incorrect username"}, (TaskInterruptedError, "runtime_refused", "password")),
        (503, {}, (RuntimeLostError, "runtime_lost", "503")),
    ],
)
async def test_faults_are_told_apart_by_what_they_say(
    webui: WebUi, connect: Connect, status: int, answer: Any, expected: tuple[type[Exception], str, str]
) -> None:
    kind, type_, text = expected
    webui.fault = (status, answer)
    with pytest.raises((TaskFailedError, TaskInterruptedError)) as caught:
        await connect().run(job())
    assert (kind, type_) == (type(caught.value), caught.value.type)
    assert text in str(caught.value)


async def test_a_long_fault_is_cut(webui: WebUi, connect: Connect) -> None:
    webui.fault = (500, {"error": "E", "errors": "x" * 65_000})
    with pytest.raises(TaskFailedError) as caught:
        await connect().run(job())
    assert len(str(caught.value)) <= 300


async def test_an_interrupted_job_that_answers_200_is_no_success_and_is_not_handed_over(
    webui: WebUi, connect: Connect
) -> None:
    async def hand_over() -> None:
        pytest.fail("there may be a success")

    webui.hold = asyncio.Event()
    adapter = connect()
    run = asyncio.create_task(adapter.run(job(hand_over=hand_over)))
    async with asyncio.timeout(5):
        await webui.working.wait()
    await adapter.interrupt()
    webui.hold.set()
    with pytest.raises(TaskInterruptedError, match="interrupted"):
        await run
    assert (b"one",) == (await adapter.run(job())).images  # it is forgotten with the next job


async def test_a_job_is_handed_over_when_its_answer_begins(webui: WebUi, connect: Connect) -> None:
    handed_over = asyncio.Event()

    async def hand_over() -> None:
        handed_over.set()

    webui.rest = rest = asyncio.Event()
    adapter = connect(dynamic_model=True)
    first = asyncio.create_task(adapter.run(job(model=V15["title"], hand_over=hand_over)))
    async with asyncio.timeout(5):
        await handed_over.wait()
        webui.images = [image("two")]
        assert (b"two",) == (await adapter.run(job(model=XL["title"]))).images
        assert not first.done()
        rest.set()
        assert (b"one",) == (await first).images
        await adapter.run(job(model=V15["title"]))  # the late answer did not make the adapter forget the switch
    assert V15["title"] == webui.loaded


async def test_an_answer_that_breaks_off_is_a_lost_runtime_and_no_end_of_the_next_job(
    webui: WebUi, connect: Connect
) -> None:
    handed_over = asyncio.Event()

    async def hand_over() -> None:
        handed_over.set()

    webui.rest, webui.breaks = rest, _ = asyncio.Event(), True
    adapter = connect()
    first = asyncio.create_task(adapter.run(job(hand_over=hand_over)))
    async with asyncio.timeout(5):
        await handed_over.wait()
        webui.working.clear()
        webui.hold = asyncio.Event()
        following = asyncio.create_task(adapter.run(job()))
        await webui.working.wait()
        rest.set()
        with pytest.raises(RuntimeLostError):
            await first
        assert 0 == await adapter.progress()  # the next one's, which the WebUI says nothing of
        webui.hold.set()
        await following


async def test_a_job_that_is_given_up_leaves_no_progress_behind(webui: WebUi, connect: Connect) -> None:
    webui.hold = asyncio.Event()
    adapter = connect()
    run = asyncio.create_task(adapter.run(job()))
    async with asyncio.timeout(5):
        await webui.working.wait()
    await cancel(run)
    assert await adapter.progress() is None  # or the loading of the next one's model would count as standing still
    webui.hold.set()


async def test_missing_images_mean_that_somebody_else_interrupted(webui: WebUi, connect: Connect) -> None:
    webui.info = {"all_seeds": [1, 2, 3]}
    with pytest.raises(TaskInterruptedError, match="1 of 3"):
        await connect().run(job())


async def test_a_script_decides_how_many_images_there_are(webui: WebUi, connect: Connect) -> None:
    webui.info = {"all_seeds": [1, 2, 3], "index_of_first_image": 1}
    webui.images = [image(text) for text in ("grid", "one")]
    outputs = await connect().run(job(content={"script_name": "x/y/z plot"}))
    assert (b"one",) == outputs.images


def black(side: int = 64, spot: int = 0) -> str:
    picture = Image.new("RGB", (side, side))
    picture.paste((255, 255, 255), (0, 0, spot, spot))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    ("forge", "images", "content", "fails", "reason"),
    [
        (True, [black(), black()], {}, True, "nothing but black, from Forge"),
        (False, [black(), black()], {}, False, "AUTOMATIC1111 says so itself"),
        (True, [black(), black(spot=1)], {}, False, "one image shows something"),
        (True, [black(), black()], {"init_images": [black()]}, False, "it began with a black one"),
        (True, [black(), black()], {"init_images": [black(spot=9)]}, True, "it began with another"),
    ],
)
async def test_black_images_from_forge_are_a_failure_that_may_pass(
    webui: WebUi, connect: Connect, forge: object, images: list[str], content: Any, fails: object, reason: str
) -> None:
    webui.registries = {"sd-modules": []} if forge else {}
    webui.images, webui.info = images, {"all_seeds": [1, 2]}
    adapter = connect()
    assert await adapter.ready() is None
    work = adapter.run(job(type=TaskType.IMAGE_TO_IMAGE if content else TaskType.TEXT_TO_IMAGE, content=content))
    if not fails:
        assert 2 == len((await work).images), reason
        return
    with pytest.raises(FailedForNowError) as caught:
        await work
    assert "nan_image" == caught.value.type, reason


async def test_the_answer_keeps_the_webuis_own_form_of_its_info(webui: WebUi, connect: Connect) -> None:
    webui.info = {"infotexts": ["A dog"], "extra": f"data:image/png;base64,{PNG}"}
    kept = json.loads((await connect().run(job())).answer["info"])
    assert (["A dog"], [1]) == (kept["infotexts"], kept["all_seeds"])
    assert kept["extra"].endswith("characters of base64>")


async def test_a_preview_is_what_the_runtime_shows_at_present(webui: WebUi, connect: Connect) -> None:
    adapter = connect()
    assert isinstance(adapter, Previewing)
    assert await adapter.preview() is None
    webui.current_image = image("so far")
    assert b"so far" == await adapter.preview()


async def test_a_connection_that_breaks_is_a_lost_runtime(webui: WebUi, connect: Connect) -> None:
    webui.drops = True
    with pytest.raises(RuntimeLostError):
        await connect().run(job())


async def test_a_runtime_is_ready_when_it_lists_models_and_is_idle(webui: WebUi, connect: Connect) -> None:
    adapter = connect()
    webui.models = []
    assert "lists none" in str(await adapter.ready())
    webui.models = [V15]
    webui.job_count, webui.hold = -1, asyncio.Event()  # an agent before us was killed
    for _ in range(3):
        with pytest.raises(RuntimeBusyError, match="earlier job"):
            await adapter.ready()
    assert webui.interrupted.is_set()
    assert 1 == webui.paths().count("extra-single-image")  # others wait behind it, and take threads
    webui.job_count = 0
    webui.hold.set()
    assert await adapter.ready() is None


async def test_a_runtime_that_loads_its_first_model_is_not_ready(
    webui: WebUi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom_agent.runtimes.sdwebui._PROBE", 0.05)
    adapter, webui.starts = connect(), asyncio.Event()
    for _ in range(3):
        assert "its model, which is being loaded" == await adapter.ready()
    assert 1 == webui.paths().count("reload-checkpoint")
    webui.starts.set()
    assert await adapter.ready() is None


async def test_a_webui_that_does_not_tell_whether_a_model_is_there_is_believed(
    webui: WebUi, connect: Connect
) -> None:
    webui.registries["sd-modules"] = []  # Forge loads with the first job
    assert await connect().ready() is None
    assert "reload-checkpoint" not in webui.paths()


async def test_a_state_that_an_upscale_left_behind_is_not_waited_for(webui: WebUi, connect: Connect) -> None:
    webui.job_count, webui.resets = 1, True
    assert await connect().ready() is None
    assert 0 == webui.job_count


async def test_an_upscale_that_calls_itself_done_from_its_start_tells_nothing(
    webui: WebUi, connect: Connect
) -> None:
    webui.hold, webui.job_count, webui.progress = asyncio.Event(), 1, 1.0
    adapter = connect()
    run = asyncio.create_task(adapter.run(job(type=TaskType.EXTRA_SINGLE_IMAGE, content={"image": PNG})))
    await asyncio.wait_for(webui.working.wait(), 5)
    assert 0 == await adapter.progress()
    webui.hold.set()
    await run


async def test_a_runtime_that_does_not_listen_is_waited_for() -> None:
    adapter = SdWebUi(RuntimeConfig("http://127.0.0.1:1"))
    with pytest.raises(RuntimeLostError):
        await adapter.ready()
    await adapter.close()


async def test_progress_is_none_while_nothing_runs(webui: WebUi, connect: Connect) -> None:
    adapter = connect()
    assert await adapter.progress() is None
    webui.job_count = 1
    assert 0.4 == await adapter.progress()


async def test_progress_stands_still_while_the_webui_does_not_work_on_the_job(
    webui: WebUi, connect: Connect
) -> None:
    webui.hold = asyncio.Event()
    adapter = connect()
    run = asyncio.create_task(adapter.run(job()))
    await asyncio.wait_for(webui.working.wait(), 5)
    assert 0 == await adapter.progress()  # it waits behind a job that will never end, and nothing says so
    webui.job_count = 1
    assert 0.4 == await adapter.progress()
    webui.job_count = 0
    assert 0.4 == await adapter.progress()
    webui.hold.set()
    await run
    assert await adapter.progress() is None
