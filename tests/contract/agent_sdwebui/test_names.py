"""What the WebUI is asked before a run: models, samplers, ControlNets … by the names that it has for them."""

import asyncio
from typing import Any

import pytest
from tests.contract.agent_sdwebui.webuis import PNG, V15, XL, Connect, WebUi, job

from darkroom.errors import TaskFailedError, TaskInterruptedError
from darkroom.tasks import TaskType
from darkroom_agent.faults import RuntimeHungError


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
    webui.info = {"sd_model_name": "v1-5-pruned-emaonly"}
    with pytest.raises(TaskInterruptedError, match="used 'v1-5-pruned-emaonly'") as caught:
        await connect(dynamic_model=True).run(job(model="sd_xl_base_1.0"))
    assert "wrong_model" == caught.value.type


async def test_a_model_that_is_not_there_after_it_was_chosen_did_not_load(webui: WebUi, connect: Connect) -> None:
    webui.ignores_options = True  # AUTOMATIC1111 answers 200, and has the old one
    with pytest.raises(TaskFailedError, match="could not load it") as caught:
        await connect(dynamic_model=True).run(job(model="sd_xl_base_1.0"))
    assert "model_load_failed" == caught.value.type
    assert "txt2img" not in webui.paths()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("model.safetensors", "model.safetensors [bbbbbbbbbb]"),
        ("model", "model.safetensors [bbbbbbbbbb]"),
        ("anime/model.safetensors", "anime/model.safetensors [aaaaaaaaaa]"),
        ("anime_model", "anime/model.safetensors [aaaaaaaaaa]"),
        ("bbbbbbbbbb", "model.safetensors [bbbbbbbbbb]"),
        ("a" * 64, "anime/model.safetensors [aaaaaaaaaa]"),
    ],
)
async def test_of_files_with_one_name_in_two_folders_the_right_one_is_chosen(
    webui: WebUi, connect: Connect, name: str, title: str
) -> None:
    webui.models = [V15] + [
        {
            "title": f"{path} [{letter * 10}]",
            "model_name": path.removesuffix(".safetensors").replace("/", "_"),
            "filename": f"/models/Stable-diffusion/{path}",
            "hash": letter * 10,
            "sha256": letter * 64,
        }
        for path, letter in (("anime/model.safetensors", "a"), ("model.safetensors", "b"))
    ]
    webui.info = {"sd_model_name": "model"}
    await connect(dynamic_model=True).run(job(model=name))
    assert title == webui.loaded


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
    ("content", "expected"),
    [
        ({"enable_hr": True}, ["Use same choices"]),
        ({"enable_hr": True, "hr_additional_modules": ["x.vae"]}, ["x.vae"]),
        ({}, None),
    ],
)
async def test_a_second_pass_gets_the_modules_that_forge_fails_without(
    webui: WebUi, connect: Connect, content: dict[str, Any], expected: list[str] | None
) -> None:
    await connect().run(job(content=content))
    assert expected == webui.body("txt2img").get("hr_additional_modules")


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


async def test_a_model_that_does_not_load_in_time_is_a_hung_runtime(webui: WebUi, connect: Connect) -> None:
    webui.loads = asyncio.Event()
    with pytest.raises(RuntimeHungError, match="did not load within"):
        await connect(dynamic_model=True, load_timeout=0.1).run(job(model=XL["title"]))
    webui.loads.set()


async def test_a_job_that_is_interrupted_while_its_model_loads_does_not_wait_for_it(
    webui: WebUi, connect: Connect
) -> None:
    webui.loads = asyncio.Event()
    adapter = connect(dynamic_model=True)
    run = asyncio.create_task(adapter.run(job(model=XL["title"])))
    async with asyncio.timeout(5):
        await webui.loading.wait()
        await adapter.interrupt()
        with pytest.raises(TaskInterruptedError, match="interrupted"):
            await run
    assert "txt2img" not in webui.paths()
    webui.loads.set()
