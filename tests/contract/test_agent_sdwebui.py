"""The adapter for SD WebUI against a server that answers as the real one does: its traps, one by one."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import FailedForNowError, RuntimeHungError, RuntimeLostError
from darkroom_agent.runtimes import Job, Previewing, RuntimeConfig, load
from darkroom_agent.runtimes.sdwebui import SdWebUi

V15 = {
    "title": "v1-5-pruned-emaonly.safetensors",
    "model_name": "v1-5-pruned-emaonly",
    "filename": "/models/Stable-diffusion/v1-5-pruned-emaonly.safetensors",
}
XL = {
    "title": "xl/sd_xl_base_1.0.safetensors [31e35c80fc]",
    "model_name": "xl_sd_xl_base_1.0",
    "filename": "/models/Stable-diffusion/xl/sd_xl_base_1.0.safetensors",
}
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x08\x00\x00\x00\x08\x08\x02\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
).decode()


def image(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class WebUi:
    """What the server is made to do, and what it was asked."""

    loaded: str = V15["title"]
    models: list[dict[str, str]] = field(default_factory=lambda: [V15, XL])
    images: list[str] = field(default_factory=lambda: [image("one")])
    info: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    fault: tuple[int, Any] | None = None
    ignores_options: bool = False
    drops: bool = False
    hold: asyncio.Event | None = None
    loads: asyncio.Event | None = None
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    working: asyncio.Event = field(default_factory=asyncio.Event)
    job_count: int = 0
    progress: float = 0.4
    resets: bool = False
    requests: list[tuple[str, Any, Any]] = field(default_factory=list)
    registries: dict[str, Any] = field(default_factory=dict)
    current_image: str | None = None

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    def body(self, path: str) -> Any:
        return next(body for asked, body, _ in self.requests if asked == path)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/sdapi/v1/{path}", self.answer)
        app.router.add_route("*", "/controlnet/{path}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        body: Any = await request.json() if request.can_read_body else None
        self.requests.append((path, body, request.headers))
        if path == "options" and body and self.loads is not None:
            await self.loads.wait()
        if path == "options" and body and not self.ignores_options:
            self.loaded = body["sd_model_checkpoint"]
        if path == "interrupt":
            self.interrupted.set()
        answers: dict[str, Any] = {
            "sd-models": self.models,
            "options": {"sd_model_checkpoint": self.loaded},
            "progress": {
                "progress": self.progress if self.job_count else 0,
                "state": self.state(),
                "current_image": None if request.query.get("skip_current_image") else self.current_image,
            },
            "interrupt": {},
            "refresh-checkpoints": None,
        }
        answers |= self.registries
        if path in answers:
            return web.json_response(answers[path])
        if request.method == "GET":
            return web.json_response({"detail": "Not Found"}, status=404)
        return await self.work(request, path)

    def state(self) -> dict[str, Any]:
        return {"job_count": self.job_count, "sampling_step": 3}

    async def work(self, request: web.Request, path: str) -> web.StreamResponse:
        self.working.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.resets:
            self.job_count = 0
        if self.drops:
            assert request.transport is not None
            request.transport.close()
        if self.fault is not None:
            status, answer = self.fault
            return web.json_response(answer, status=status)
        if path == "extra-single-image":
            return web.json_response({"html_info": "<p>", "image": self.images[0]})
        if path == "extra-batch-images":
            return web.json_response({"html_info": "<p>", "images": self.images})
        stem = self.loaded.partition(".safetensors")[0].rpartition("/")[2]
        info = {"all_seeds": [1], "index_of_first_image": 0, "sd_model_name": stem} | self.info
        return web.json_response({"images": self.images, "parameters": self.parameters, "info": json.dumps(info)})


Connect = Callable[..., SdWebUi]


@pytest.fixture(autouse=True)
def _short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom_agent.runtimes.sdwebui._PROBE", 0.1)


@pytest.fixture
def webui() -> WebUi:
    return WebUi()


@pytest.fixture
async def connect(webui: WebUi) -> AsyncIterator[Connect]:
    """Makes an adapter that speaks to the server."""
    server = TestServer(webui.app())
    await server.start_server()
    made: list[SdWebUi] = []

    def make(**config: Any) -> SdWebUi:
        made.append(SdWebUi(RuntimeConfig(str(server.make_url("")), **config)))
        return made[-1]

    yield make
    for adapter in made:
        await adapter.close()
    await server.close()


def job(**changes: Any) -> Job:
    return Job(**{"type": TaskType.TEXT_TO_IMAGE, "content": {"prompt": "A dog"}, **changes})


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


@pytest.mark.parametrize("type_", [TaskType.EXTRA_SINGLE_IMAGE, TaskType.EXTRA_BATCH_IMAGES])
async def test_extras_give_their_images_and_need_no_model(webui: WebUi, connect: Connect, type_: TaskType) -> None:
    content = {"image": PNG, "imageList": [{"data": PNG, "name": "x"}]}
    outputs = await connect(model="gone").run(job(type=type_, content=content))
    assert ((b"one",), {"html_info": "<p>"}) == (outputs.images, outputs.answer)
    assert [str(type_)] == webui.paths()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (XL["title"], "the title, as the options take it"),
        ("xl/sd_xl_base_1.0.safetensors", "the title before the first load added the hash"),
        ("xl/sd_xl_base_1.0.safetensors [0000000000]", "the title with another hash"),
        (XL["model_name"], "the model's name"),
        (XL["filename"], "the file's path"),
        ("sd_xl_base_1.0.safetensors", "the file's name, as the guide's requests have it"),
        ("sd_xl_base_1.0", "the file's stem"),
    ],
)
async def test_a_model_is_switched_by_its_title_whatever_it_is_called(
    webui: WebUi, connect: Connect, name: str, reason: str
) -> None:
    await connect(dynamic_model=True).run(job(model=name))
    assert {"sd_model_checkpoint": XL["title"]} == next(
        body for path, body, _ in webui.requests if path == "options" and body
    ), reason


async def test_the_loaded_model_is_not_loaded_again_nor_asked_for_twice(webui: WebUi, connect: Connect) -> None:
    adapter = connect(dynamic_model=True)
    await adapter.run(job(model="v1-5-pruned-emaonly.safetensors"))
    assert webui.loaded == V15["title"]
    assert not [body for path, body, _ in webui.requests if path == "options" and body]
    webui.requests.clear()
    await adapter.run(job(model="v1-5-pruned-emaonly.safetensors"))
    assert ["txt2img"] == webui.paths()  # nothing else keeps the GPU waiting


async def test_models_of_one_name_in_two_folders_are_told_apart(webui: WebUi, connect: Connect) -> None:
    other = {key: value.replace("xl", "other").replace(" [31e35c80fc]", "") for key, value in XL.items()}
    other["filename"] = other["filename"].replace("sd_other_base", "sd_xl_base")
    other["title"] = other["title"].replace("sd_other_base", "sd_xl_base")
    webui.models.append(other)
    adapter = connect(dynamic_model=True)
    for model in (XL, other, XL):
        await adapter.run(job(model=model["title"]))
        assert model["title"] == webui.loaded


async def test_a_missing_model_fails_and_names_those_that_are_there(webui: WebUi, connect: Connect) -> None:
    with pytest.raises(TaskFailedError, match=r"'gone'.*sd_xl_base_1.0.safetensors") as caught:
        await connect(dynamic_model=True).run(job(model="gone"))
    assert "model_not_found" == caught.value.type
    assert "refresh-checkpoints" in webui.paths()
    assert "txt2img" not in webui.paths()


async def test_a_static_runtime_serves_no_other_model(webui: WebUi, connect: Connect) -> None:
    adapter = connect(model="v1-5-pruned-emaonly.safetensors")
    with pytest.raises(TaskFailedError, match=r"serves 'v1-5-pruned-emaonly\.safetensors' only") as caught:
        await adapter.run(job(model="sd_xl_base_1.0.safetensors"))
    assert "model_not_found" == caught.value.type
    await adapter.run(job(model="v1-5-pruned-emaonly"))
    assert V15["title"] == webui.loaded


async def test_a_static_runtime_with_another_model_loaded_is_set_right(webui: WebUi, connect: Connect) -> None:
    webui.loaded = XL["title"]
    await connect(model="v1-5-pruned-emaonly.safetensors").run(job())
    assert V15["title"] == webui.loaded


async def test_an_answer_of_another_model_is_no_success(webui: WebUi, connect: Connect) -> None:
    webui.ignores_options = True
    with pytest.raises(TaskInterruptedError, match="used 'v1-5-pruned-emaonly'") as caught:
        await connect(dynamic_model=True).run(job(model="sd_xl_base_1.0"))
    assert "wrong_model" == caught.value.type


async def test_the_request_says_what_the_runtime_would_otherwise_get_wrong(webui: WebUi, connect: Connect) -> None:
    unit = {"model": "canny", "image": PNG, "resize_mode": 1, "control_mode": 0}
    content = {
        "prompt": "A dog",
        "send_images": False,
        "override_settings": {"sd_model_checkpoint": "x", "CLIP_stop_at_last_layers": 2},
        "alwayson_scripts": {"ControlNet": {"args": [unit]}, "other": {"args": [1]}},
    }
    await connect().run(job(content=content))
    body = webui.body("txt2img")
    assert body["send_images"] is True
    assert {"CLIP_stop_at_last_layers": 2} == body["override_settings"]
    expected = unit | {"enabled": True, "resize_mode": "Crop and Resize", "control_mode": "Balanced"}
    assert expected == body["alwayson_scripts"]["ControlNet"]["args"][0]
    assert {"args": [1]} == body["alwayson_scripts"]["other"]
    assert 1 == unit["resize_mode"]  # the task's own content is left alone


async def test_no_compression_is_asked_for(webui: WebUi, connect: Connect) -> None:
    await connect().run(job())
    assert {"identity"} == {headers["Accept-Encoding"] for _, _, headers in webui.requests}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (
            {"alwayson_scripts": {"controlnet": {"args": [{"image": "/etc/passwd"}]}}},
            "content.alwayson_scripts.controlnet.args[0].image",
        ),
        (
            {"alwayson_scripts": {"ControlNet": {"args": [{"image": {"image": "passwd"}}]}}},
            "content.alwayson_scripts.ControlNet.args[0].image.image",
        ),
        ({"init_images": [PNG, "cGFzc3dk"]}, "content.init_images[1]"),
        ({"init_images": [f"data:image/png;base64,{PNG}"], "mask": PNG[:24]}, "content.mask"),
    ],
)
async def test_a_text_that_is_no_image_is_refused_by_its_field(
    webui: WebUi, connect: Connect, content: dict[str, Any], place: str
) -> None:
    with pytest.raises(TaskFailedError) as caught:
        await connect().run(job(type=TaskType.IMAGE_TO_IMAGE, content=content))
    assert "input_invalid" == caught.value.type
    assert str(caught.value).startswith(place + ":")
    assert [] == webui.paths()


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


async def test_an_interrupted_job_that_answers_200_is_no_success(webui: WebUi, connect: Connect) -> None:
    webui.hold = asyncio.Event()
    adapter = connect()
    run = asyncio.create_task(adapter.run(job()))
    async with asyncio.timeout(5):
        await webui.working.wait()
    await adapter.interrupt()
    webui.hold.set()
    with pytest.raises(TaskInterruptedError, match="interrupted"):
        await run
    assert (b"one",) == (await adapter.run(job())).images  # it is forgotten with the next job


async def test_missing_images_mean_that_somebody_else_interrupted(webui: WebUi, connect: Connect) -> None:
    webui.info = {"all_seeds": [1, 2, 3]}
    with pytest.raises(TaskInterruptedError, match="1 of 3"):
        await connect().run(job())


async def test_a_script_decides_how_many_images_there_are(webui: WebUi, connect: Connect) -> None:
    webui.info = {"all_seeds": [1, 2, 3], "index_of_first_image": 1}
    webui.images = [image(text) for text in ("grid", "one")]
    outputs = await connect().run(job(content={"script_name": "x/y/z plot"}))
    assert (b"one",) == outputs.images


SAMPLERS = [{"name": "Euler a", "aliases": ["k_euler_a"]}, {"name": "DPM++ 2M", "aliases": []}]
SCHEDULERS = [
    {"name": "karras", "label": "Karras", "aliases": None},
    {"name": "sgm_uniform", "label": "SGM Uniform", "aliases": ["SGMUniform"]},
]


@pytest.mark.parametrize(
    ("field", "name", "own"),
    [
        ("sampler_name", "Euler a", "Euler a"),
        ("sampler_name", "euler A", "Euler a"),
        ("sampler_index", "k_euler_a", "Euler a"),
        ("sampler_name", "dpm++ 2m karras", "DPM++ 2M Karras"),
        ("hr_sampler_name", "DPM++ 2M SGMUniform", "DPM++ 2M SGM Uniform"),
        ("scheduler", "Karras", "Karras"),
        ("scheduler", "sgm_uniform", "SGM Uniform"),
        ("hr_scheduler", "Use same scheduler", "Use same scheduler"),
    ],
)
async def test_samplers_and_schedulers_get_the_names_that_the_webui_has_for_them(
    webui: WebUi, connect: Connect, field: str, name: str, own: str
) -> None:
    webui.registries = {"samplers": SAMPLERS, "schedulers": SCHEDULERS}
    content = {field: name}
    await connect().run(job(content=content))
    assert own == webui.body("txt2img")[field]
    assert name == content[field]  # the task's own content is left alone


@pytest.mark.parametrize(
    ("field", "name", "kind"),
    [
        ("sampler_name", "Eular a", "sampler"),
        ("sampler_index", "Eular a Karras", "sampler"),
        ("sampler_name", "Euler a Carras", "sampler"),
        ("scheduler", "Carras", "scheduler"),
        ("hr_scheduler", "Carras", "scheduler"),
    ],
)
async def test_an_unknown_sampler_or_scheduler_fails_before_another_is_taken_for_it(
    webui: WebUi, connect: Connect, field: str, name: str, kind: str
) -> None:
    webui.registries = {"samplers": SAMPLERS, "schedulers": SCHEDULERS}
    with pytest.raises(TaskFailedError, match=f"content.{field}: there is no {kind} '{name}'"):
        await connect().run(job(content={field: name}))
    assert "txt2img" not in webui.paths()


async def test_names_that_were_found_once_are_not_asked_for_again(webui: WebUi, connect: Connect) -> None:
    webui.registries = {"samplers": SAMPLERS, "loras": [{"name": "ink", "alias": "ink_v1"}]}
    adapter = connect()
    content = {"sampler_name": "Euler a", "prompt": "A dog <lora:ink:0.8> <lora:ink_v1:1>"}
    assert () == (await adapter.run(job(content=content))).warnings
    webui.requests.clear()
    await adapter.run(job(content=content))
    assert ["txt2img"] == webui.paths()


async def test_a_runtime_that_lists_nothing_is_believed(connect: Connect) -> None:
    unit = {"model": "canny", "image": PNG}
    content = {
        "sampler_name": "Any",
        "prompt": "<lora:any:1>",
        "override_settings": {"sd_vae": "any"},
        "alwayson_scripts": {"controlnet": {"args": [unit]}},
    }
    assert () == (await connect().run(job(content=content))).warnings


async def test_what_is_ignored_in_silence_is_a_warning(webui: WebUi, connect: Connect) -> None:
    webui.registries = {"loras": [], "sd-vae": [{"model_name": "kl.pt"}]}
    content = {"prompt": "<lora:ink:1> <lora:{a|b}:1>", "override_settings": {"sd_vae": "other.pt"}}
    outputs = await connect().run(job(content=content))
    expected = ("the LoRA ink is not there, and was ignored", "the VAE other.pt is not there, and was ignored")
    assert expected == outputs.warnings


CONTROLNETS = {"model_list": ["None", "control_v11p_sd15_canny [d14c016b]"]}


@pytest.mark.parametrize(
    ("unit", "known"),
    [
        ({"model": "control_v11p_sd15_canny [d14c016b]"}, True),
        ({"model": "control_v11p_sd15_canny"}, True),
        ({"model": "canny"}, True),
        ({"model": "None"}, True),
        ({"model": "depth", "enabled": False}, True),
        ({"model": "depth"}, False),
    ],
)
async def test_an_unknown_controlnet_model_fails_and_names_those_that_are_there(
    webui: WebUi, connect: Connect, unit: Any, known: object
) -> None:
    webui.registries = {"model_list": CONTROLNETS}
    content = {"alwayson_scripts": {"ControlNet": {"args": [{"image": PNG}, {"image": PNG, **unit}]}}}
    if known:
        await connect().run(job(content=content))
        return
    place = r"content\.alwayson_scripts\.ControlNet\.args\[1\]\.model"
    with pytest.raises(TaskFailedError, match=f"{place}: .* 'depth'; there is: control_v11p_sd15_canny$"):
        await connect().run(job(content=content))


@pytest.mark.parametrize(("text", "warned"), [("Steps: 20, ControlNet 0: canny", False), ("Steps: 20", True)])
async def test_an_answer_that_mentions_no_controlnet_is_a_warning(
    webui: WebUi, connect: Connect, text: str, warned: object
) -> None:
    webui.info = {"infotexts": [text]}
    content = {"alwayson_scripts": {"controlnet": {"args": [{"image": PNG}]}}}
    outputs = await connect().run(job(content=content))
    assert warned is bool(outputs.warnings)


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
        assert "earlier job" in str(await adapter.ready())
    assert webui.interrupted.is_set()
    assert 1 == webui.paths().count("extra-single-image")  # others wait behind it, and take threads
    webui.job_count = 0
    webui.hold.set()
    assert await adapter.ready() is None


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


async def test_a_model_that_does_not_load_in_time_is_a_hung_runtime(webui: WebUi, connect: Connect) -> None:
    webui.loads = asyncio.Event()
    with pytest.raises(RuntimeHungError, match="did not load within"):
        await connect(dynamic_model=True, load_timeout=0.1).run(job(model=XL["title"]))
    webui.loads.set()
