"""The preview runtime answers as SD WebUI does (AUTOMATIC1111 1.8): real HTTP on loopback, real pixels."""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image, ImageChops, ImageOps
from PIL.PngImagePlugin import PngInfo

from darkroom_local.preview.server import make_app

Json = dict[str, Any]
StartServer = Callable[..., Awaitable["WebUi"]]

LANCZOS = Image.Resampling.LANCZOS
NEAREST = Image.Resampling.NEAREST
SMALL = {"steps": 1, "width": 64, "height": 64}


class WebUi:
    """A client of one server, and its JSON."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = url

    async def post(self, name: str, body: object = None) -> tuple[int, Any]:
        async with self._client.post(f"{self._url}/sdapi/v1/{name}", json=body) as answer:
            return answer.status, await answer.json()

    async def get(self, name: str) -> Any:
        async with self._client.get(f"{self._url}/sdapi/v1/{name}") as answer:
            assert answer.status == 200
            return await answer.json()

    async def make(self, name: str = "txt2img", **fields: object) -> tuple[list[Image.Image], Json]:
        """Post a small job that must succeed; its images and its `info`."""
        status, answer = await self.post(name, SMALL | fields)
        assert status == 200, answer
        return [read_image(text) for text in answer["images"]], json.loads(answer["info"])

    async def upscale(self, image: Image.Image, **fields: object) -> Image.Image:
        status, answer = await self.post("extra-single-image", {"image": write_image(image), **fields})
        assert status == 200, answer
        return read_image(answer["image"])

    async def until(self, holds: Callable[[Json], bool]) -> Json:
        """Poll progress until it is as wanted."""
        async with asyncio.timeout(5):
            while True:
                progress: Json = await self.get("progress")
                if holds(progress):
                    return progress
                await asyncio.sleep(0.005)


@pytest.fixture
async def start() -> AsyncIterator[StartServer]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(models: tuple[str, ...] = ("one.safetensors", "two.safetensors"), **pace: float) -> WebUi:
            app = make_app(models, **{"step_seconds": 0.0, "load_seconds": 0.0} | pace)
            client = await stack.enter_async_context(TestClient(TestServer(app)))
            return WebUi(client.session, str(client.make_url("")).rstrip("/"))

        yield start


@pytest.fixture
async def webui(start: StartServer) -> WebUi:
    return await start()


def read_image(text: str) -> Image.Image:
    image = Image.open(BytesIO(base64.b64decode(text, validate=True)))
    image.load()
    return image


def write_image(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def make_sample(width: int = 64, height: int = 48) -> Image.Image:
    """An image with no two rows or columns alike."""
    ramp = Image.linear_gradient("L")
    bands = ramp, ramp.rotate(90), Image.radial_gradient("L")
    return Image.merge("RGB", bands).resize((width, height), LANCZOS)


def same(expected: Image.Image, actual: Image.Image) -> bool:
    return expected.size == actual.size and expected.convert("RGB").tobytes() == actual.convert("RGB").tobytes()


def spread(image: Image.Image, other: Image.Image) -> float:
    """Mean difference of two images, from 0 to 255."""
    histogram = ImageChops.difference(image.convert("L"), other.convert("L")).histogram()
    return sum(level * count for level, count in enumerate(histogram)) / (image.width * image.height)


# Upscales


@pytest.mark.parametrize(("name", "method"), [("Lanczos", LANCZOS), ("Nearest", NEAREST)])
@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        pytest.param(4, (256, 192), id="a whole factor"),
        pytest.param(1.5, (96, 72), id="a fraction"),
        pytest.param(1, (64, 48), id="no enlargement"),
    ],
)
async def test_lanczos_and_nearest_are_the_very_pixels_of_pillow(
    webui: WebUi, name: str, method: Image.Resampling, factor: float, expected: tuple[int, int]
) -> None:
    image = make_sample(64, 48)
    result = await webui.upscale(image, upscaler_1=name, upscaling_resize=factor)
    assert same(image.resize(expected, method), result)


async def test_sides_that_are_no_multiples_of_8_are_resized_once_more(webui: WebUi) -> None:
    image = make_sample(50, 30)
    result = await webui.upscale(image, upscaler_1="Nearest", upscaling_resize=2)
    assert same(image.resize((100, 60), NEAREST).resize((96, 56), LANCZOS), result)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        pytest.param(True, (128, 128), id="covers the target, then the centre is cut out"),
        pytest.param(False, (256, 128), id="covers the target and stays larger"),
    ],
)
async def test_resizing_to_a_size_keeps_the_ratio(webui: WebUi, expected: tuple[int, int], *, crop: bool) -> None:
    image = make_sample(64, 32)
    fields = {"resize_mode": 1, "upscaling_resize_w": 128, "upscaling_resize_h": 128, "upscaling_crop": crop}
    result = await webui.upscale(image, upscaler_1="Lanczos", **fields)
    left = (256 - expected[0]) // 2
    assert same(image.resize((256, 128), LANCZOS).crop((left, 0, left + expected[0], 128)), result)


@pytest.mark.parametrize(
    "fields", [{}, {"upscaler_1": "None", "upscaler_2": "Lanczos", "extras_upscaler_2_visibility": 1}]
)
async def test_without_a_first_upscaler_the_image_comes_back_unchanged(webui: WebUi, fields: Json) -> None:
    image = make_sample(50, 30)
    assert same(image, await webui.upscale(image, upscaling_resize=4, **fields))


async def test_the_second_upscaler_is_blended_in_by_its_visibility(webui: WebUi) -> None:
    image = make_sample()
    fields = {"upscaler_1": "Nearest", "upscaler_2": "Lanczos", "extras_upscaler_2_visibility": 0.3}
    result = await webui.upscale(image, upscaling_resize=2, **fields)
    first, second = image.resize((128, 96), NEAREST), image.resize((128, 96), LANCZOS)
    assert same(Image.blend(first, second, 0.3), result)


NETWORKS = ["4x-UltraSharp", "ESRGAN_4x", "ESRGAN_4X", "LDSR", "R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B", "ScuNET GAN",
            "ScuNET PSNR", "SwinIR 4x"]  # fmt: skip


async def test_every_upscaler_of_the_guide_is_listed_and_networks_have_a_labelled_stand_in(webui: WebUi) -> None:
    listed = [upscaler["name"] for upscaler in await webui.get("upscalers")]
    assert ["None", "Lanczos", "Nearest", *NETWORKS] == listed
    image = make_sample()
    for name in NETWORKS:
        result = await webui.upscale(image, upscaler_1=name, upscaling_resize=4)
        plain = image.resize((256, 192), Image.Resampling.BICUBIC)
        assert same(plain.crop((0, 96, 256, 192)), result.crop((0, 96, 256, 192)))
        assert not same(plain, result)


async def test_an_upscaled_file_keeps_its_parameters_and_tells_what_was_done(webui: WebUi) -> None:
    [image], _ = await webui.make(prompt="a dog")
    _, answer = await webui.post("png-info", {"image": write_with_texts(image)})
    upscaled = await webui.post(
        "extra-single-image",
        {"image": write_with_texts(image), "upscaler_1": "Lanczos", "upscaling_resize": 2},
    )
    texts = read_image(upscaled[1]["image"]).info
    assert answer["info"] == texts["parameters"]
    assert texts["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
    assert f"<p>{texts['postprocessing']}</p>" == upscaled[1]["html_info"]


def write_with_texts(image: Image.Image) -> str:
    chunks = PngInfo()
    chunks.add_text("parameters", image.info["parameters"])
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks)
    return base64.b64encode(buffer.getvalue()).decode()


async def test_a_batch_of_upscales_comes_back_in_order_without_names(webui: WebUi) -> None:
    images = [make_sample(8 * side, 16) for side in (3, 1, 2)]
    batch = [{"name": f"{index}.png", "data": write_image(image)} for index, image in enumerate(images)]
    status, answer = await webui.post("extra-batch-images", {"imageList": batch, "upscaler_1": "Nearest"})
    assert status == 200
    assert {"html_info", "images"} == set(answer)
    assert [read_image(text).size for text in answer["images"]] == [(48, 32), (16, 32), (32, 32)]


# Pictures


async def test_the_same_request_gives_the_same_pixels(webui: WebUi) -> None:
    fields: Json = {"prompt": "a lighthouse", "seed": 7, "width": 256, "height": 192}
    [first], info = await webui.make(**fields)
    [again], _ = await webui.make(**fields)
    assert same(first, again)
    assert first.size == (256, 192)
    assert info["seed"] == 7


@pytest.mark.parametrize(
    "other",
    [{"seed": 8}, {"prompt": "a storm"}, {"negative_prompt": "rain"}, {"steps": 2}, {"cfg_scale": 3},
     {"sampler_name": "DDIM"}, {"subseed": 1, "subseed_strength": 0.5}],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
async def test_another_request_gives_other_pixels(webui: WebUi, other: Json) -> None:
    fields: Json = {"prompt": "a lighthouse", "seed": 7, "width": 256, "height": 256}
    [first], _ = await webui.make(**fields)
    [second], _ = await webui.make(**fields | other)
    assert not same(first, second)


async def test_a_random_seed_can_be_used_again(webui: WebUi) -> None:
    [first], info = await webui.make(seed=-1)
    [other], _ = await webui.make(seed=-1)
    [again], _ = await webui.make(seed=info["seed"])
    assert same(first, again)
    assert not same(first, other)


async def test_a_batch_counts_its_seeds_up(webui: WebUi) -> None:
    images, info = await webui.make(seed=5, batch_size=2, n_iter=2, prompt="two dogs")
    assert info["all_seeds"] == [5, 6, 7, 8]
    assert info["all_prompts"] == ["two dogs"] * 4
    assert info["index_of_first_image"] == 0
    for seed, image, infotext in zip(info["all_seeds"], images, info["infotexts"], strict=True):
        assert infotext == image.info["parameters"]
        assert f"Seed: {seed}," in infotext
        [alone], _ = await webui.make(seed=seed, prompt="two dogs")
        assert same(alone, image)


@pytest.mark.parametrize(
    ("fields", "count", "first"),
    [
        pytest.param({"save_images": True, "n_iter": 3}, 4, 1, id="saved pictures come after their grid"),
        pytest.param({"save_images": False, "n_iter": 3}, 3, 0, id="otherwise there is no grid"),
        pytest.param({"save_images": True, "n_iter": 1}, 1, 0, id="one picture needs no grid"),
    ],
)
async def test_the_grid_comes_first_only_with_save_images(
    webui: WebUi, fields: Json, count: int, first: int
) -> None:
    images, info = await webui.make(seed=1, **fields)
    assert (count, first) == (len(images), info["index_of_first_image"])
    assert count == len(info["infotexts"])
    wanted = images[first : first + len(info["all_seeds"])]
    assert [(64, 64)] * fields["n_iter"] == [image.size for image in wanted]
    if first:
        assert images[0].size == (128, 128)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"width": 517, "height": 263}, (512, 256), id="cut to multiples of 8"),
        pytest.param({"enable_hr": True, "hr_scale": 1.5}, (96, 96), id="hires fix by a factor"),
        pytest.param({"enable_hr": True, "hr_resize_x": 128}, (128, 128), id="hires fix to a side"),
    ],
)
async def test_pictures_have_the_size_that_the_webui_gives_them(
    webui: WebUi, fields: Json, expected: tuple[int, int]
) -> None:
    [image], _ = await webui.make(**fields)
    assert expected == image.size


async def test_info_tells_model_and_settings_and_the_request_is_echoed_whole(webui: WebUi) -> None:
    scripts = {"Refiner": {"args": [False, "", 0.8]}}
    _, answer = await webui.post("txt2img", SMALL | {"prompt": "a, b", "alwayson_scripts": scripts, "unknown": 1})
    info = json.loads(answer["info"])
    [model, _] = await webui.get("sd-models")
    assert ("one", model["hash"]) == (info["sd_model_name"], info["sd_model_hash"])
    assert tuple(info[key] for key in ("width", "height", "steps", "batch_size", "sampler_name")) == (
        64,
        64,
        1,
        1,
        "Euler",
    )
    assert scripts == answer["parameters"]["alwayson_scripts"]
    assert (await webui.post("txt2img", {"width": 64, "height": 64}))[1]["parameters"]["steps"] == 50


async def test_the_parameters_of_a_file_can_be_read_back(webui: WebUi) -> None:
    [image], _ = await webui.make(prompt="a dog,\nrunning", negative_prompt="rain", seed=3, sampler_name="DDIM")
    _, answer = await webui.post("png-info", {"image": write_with_texts(image)})
    assert image.info["parameters"] == answer["info"]
    expected = {
        "Prompt": "a dog,\nrunning",
        "Negative prompt": "rain",
        "Seed": "3",
        "Sampler": "DDIM",
        "Size-1": "64",
    }
    assert expected == {key: answer["parameters"][key] for key in expected}


async def test_send_images_false_sends_none(webui: WebUi) -> None:
    images, info = await webui.make(send_images=False, n_iter=2)
    assert images == []
    assert len(info["infotexts"]) == 2


async def test_the_option_samples_format_decides_the_file(webui: WebUi) -> None:
    await webui.post("options", {"samples_format": "jpg"})
    [image], _ = await webui.make()
    assert image.format == "JPEG"


# Image to image


async def test_image_to_image_blends_by_strength(webui: WebUi) -> None:
    image = make_sample(64, 64)
    [drawn], _ = await webui.make(seed=4)
    init = [f"data:image/png;base64,{write_image(image)}"]
    for strength in (0.0, 0.4, 1.0):
        [result], _ = await webui.make("img2img", seed=4, init_images=init, denoising_strength=strength)
        assert same(Image.blend(image, drawn, strength), result), strength


@pytest.mark.parametrize(
    ("invert", "stays"),
    [
        pytest.param(0, (0, 0, 32, 64), id="black stays"),
        pytest.param(1, (32, 0, 64, 64), id="inverted: white stays"),
    ],
)
@pytest.mark.parametrize("full_res", [True, False])
async def test_a_mask_says_what_may_change(
    webui: WebUi, invert: int, stays: tuple[int, int, int, int], *, full_res: bool
) -> None:
    image = make_sample(64, 64)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    fields = {
        "mask": write_image(mask),
        "mask_blur": 0,
        "inpainting_mask_invert": invert,
        "inpaint_full_res": full_res,
    }
    [result], _ = await webui.make("img2img", init_images=[write_image(image)], denoising_strength=1, **fields)
    changes = (32 - stays[0], 0, 96 - stays[2], 64)
    assert same(image.crop(stays), result.crop(stays))
    assert spread(image.crop(changes), result.crop(changes)) > 10


async def test_a_mask_at_full_resolution_keeps_the_images_own_size(webui: WebUi) -> None:
    image = make_sample(100, 80)
    fields = {"init_images": [write_image(image)], "mask": write_image(Image.new("L", (100, 80), 255))}
    [zoomed], _ = await webui.make("img2img", **fields)
    [plain], _ = await webui.make("img2img", inpaint_full_res=False, **fields)
    assert (zoomed.size, plain.size) == ((100, 80), (64, 64))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(0, make_sample(96, 48).resize((64, 64), LANCZOS), id="stretched"),
        pytest.param(1, ImageOps.fit(make_sample(96, 48), (64, 64), LANCZOS), id="cropped"),
    ],
)
async def test_the_given_image_is_resized_by_resize_mode(webui: WebUi, mode: int, expected: Image.Image) -> None:
    fields = {"init_images": [write_image(make_sample(96, 48))], "denoising_strength": 0, "resize_mode": mode}
    [result], _ = await webui.make("img2img", **fields)
    assert same(expected, result)


async def test_given_images_are_echoed_only_when_asked_for(webui: WebUi) -> None:
    body = SMALL | {"init_images": [write_image(make_sample())]}
    assert (await webui.post("img2img", body))[1]["parameters"]["init_images"] is None
    body["include_init_images"] = True
    assert body["init_images"] == (await webui.post("img2img", body))[1]["parameters"]["init_images"]


# Refusals


PIXEL = write_image(Image.new("RGB", (8, 8)))


REFUSED, FAILED = "HTTPException", "AssertionError"
CONTROLNET: Json = {"alwayson_scripts": {"controlnet": {"args": []}}}


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        pytest.param("img2img", {}, (404, REFUSED, "Init image not found"), id="nothing to start from"),
        pytest.param("img2img", {"init_images": ["bm90aGluZw=="]}, (500, REFUSED, "Invalid encoded image"),
                     id="base64 of no image"),
        pytest.param("img2img", {"init_images": [PIXEL, PIXEL]},
                     (500, "RuntimeError", "bad number of images passed: 2"), id="more images than a batch has"),
        pytest.param("img2img", {"init_images": [PIXEL], "mask": "?"}, (500, REFUSED, "Invalid encoded image"),
                     id="a mask that is no image"),
        pytest.param("extra-single-image", {"image": "?"}, (500, REFUSED, "Invalid encoded image"),
                     id="not even base64"),
        pytest.param("extra-single-image", {"image": PIXEL[: len(PIXEL) // 2]},
                     (500, REFUSED, "Invalid encoded image"), id="a file cut off"),
        pytest.param("extra-single-image", {"image": "http://127.0.0.1:9000/a.png"},
                     (500, REFUSED, "Request to local resource not allowed"), id="a link with a port"),
        pytest.param("extra-single-image", {"image": "s3://bucket/a.png"}, (500, REFUSED, "Invalid encoded image"),
                     id="a link that it cannot read"),
        pytest.param("extra-single-image", {"image": PIXEL, "upscaler_1": "lanczos"},
                     (500, FAILED, "could not find upscaler named lanczos"), id="names are exact"),
        pytest.param("extra-single-image", {"image": PIXEL, "upscaler_1": "Lanczos", "upscaler_2": "Bicubic"},
                     (500, FAILED, "could not find upscaler named Bicubic"), id="the second one, too"),
        pytest.param("txt2img", {"sampler_name": "Magic"}, (404, REFUSED, "Sampler not found"),
                     id="unknown sampler"),
        pytest.param("txt2img", CONTROLNET, (422, REFUSED, "Script 'controlnet' not found"),
                     id="an extension that is not there"),
        pytest.param("txt2img", {"script_name": "X/Y/Z plot"}, (422, REFUSED, "Script 'X/Y/Z plot' not found"),
                     id="a script that is not there"),
        pytest.param("txt2img", {"override_settings": {"nonsense": 1}}, (500, "KeyError", "'nonsense'"),
                     id="overriding an unknown option"),
        pytest.param("txt2img", {"width": 8192, "height": 8192}, (500, "OutOfMemoryError", "CUDA out of memory"),
                     id="too large"),
        pytest.param("options", {"nonsense": 1}, (500, "KeyError", "'nonsense'"), id="unknown option"),
        pytest.param("options", {"sd_model_checkpoint": "three"}, (500, "RuntimeError", "model 'three' not found"),
                     id="unknown model"),
        pytest.param("interrogate", {"image": PIXEL, "model": "blip"}, (404, REFUSED, "Model not found"),
                     id="unknown captioner"),
    ],
)  # fmt: skip
async def test_faults_have_the_webuis_status_and_shape(
    webui: WebUi, name: str, body: Json, expected: tuple[int, str, str]
) -> None:
    status, answer = await webui.post(name, body)
    assert expected[:2] == (status, answer["error"])
    assert {"error", "detail", "body", "errors"} == set(answer)
    assert expected[2] in answer["detail" if answer["error"] == REFUSED else "errors"]
    assert (await webui.post("txt2img", SMALL))[0] == 200


@pytest.mark.parametrize(
    ("name", "body", "where"),
    [
        pytest.param("txt2img", {"steps": "many"}, ["body", "steps"], id="no number"),
        pytest.param("txt2img", [], ["body"], id="no object"),
        pytest.param("txt2img", {"alwayson_scripts": []}, ["body", "alwayson_scripts"], id="no object inside"),
        pytest.param("extra-single-image", {"resize_mode": "0"}, ["body", "resize_mode"], id="0 as text"),
        pytest.param("extra-single-image", {"upscaling_resize": 9}, ["body", "upscaling_resize"], id="above 8"),
        pytest.param("extra-single-image", {"gfpgan_visibility": 2}, ["body", "gfpgan_visibility"], id="above 1"),
        pytest.param("extra-batch-images", {}, ["body", "imageList"], id="a field that must be there"),
    ],
)
async def test_malformed_bodies_are_422_with_a_list(
    webui: WebUi, name: str, body: object, where: list[str]
) -> None:
    status, answer = await webui.post(name, body)
    assert status == 422
    assert where == answer["detail"][0]["loc"]


async def test_a_path_that_is_not_there_is_a_plain_404(webui: WebUi) -> None:
    assert await webui.post("sd-modules") == (404, {"detail": "Not Found"})


# Models and options


async def test_the_first_load_hashes_the_file_and_changes_the_title(webui: WebUi) -> None:
    await webui.until(lambda progress: progress["state"]["job_count"] == 0)
    before = await webui.get("sd-models")
    assert await webui.post("options", {"sd_model_checkpoint": "two.safetensors"}) == (200, None)
    after = await webui.get("sd-models")
    assert [model["model_name"] for model in after] == ["one", "two"]
    assert (before[1]["title"], before[1]["hash"]) == ("two.safetensors", None)
    assert f"two.safetensors [{after[1]['sha256'][:10]}]" == after[1]["title"]
    for name in (after[1]["title"], after[1]["hash"], "two", "two.safetensors"):
        assert (await webui.post("options", {"sd_model_checkpoint": name}))[0] == 200
    assert (await webui.make())[1]["sd_model_name"] == "two"


async def test_an_overridden_model_serves_one_job(webui: WebUi) -> None:
    _, info = await webui.make(override_settings={"sd_model_checkpoint": "two"})
    assert info["sd_model_name"] == "two"
    assert (await webui.make())[1]["sd_model_name"] == "one"


async def test_an_unknown_overridden_model_is_dropped_silently(webui: WebUi) -> None:
    _, answer = await webui.post("txt2img", SMALL | {"override_settings": {"sd_model_checkpoint": "three"}})
    assert json.loads(answer["info"])["sd_model_name"] == "one"


async def test_an_override_that_was_never_stored_leaks_into_the_next_job(webui: WebUi) -> None:
    await webui.make(override_settings={"CLIP_stop_at_last_layers": 2})
    assert (await webui.make())[1]["clip_skip"] == 2
    await webui.post("options", {"CLIP_stop_at_last_layers": 1})
    await webui.make(override_settings={"CLIP_stop_at_last_layers": 2})
    assert (await webui.make())[1]["clip_skip"] == 1


async def test_switching_the_model_blocks_until_it_is_loaded(start: StartServer) -> None:
    webui = await start(load_seconds=0.3)
    assert (await webui.get("sd-models"))[0]["hash"] is None, "GETs answer while the first model loads"
    await webui.make()
    loop = asyncio.get_running_loop()
    before = loop.time()
    await webui.post("options", {"sd_model_checkpoint": "two"})
    assert loop.time() - before >= 0.29
    await webui.post("unload-checkpoint")
    before = loop.time()
    assert await webui.post("reload-checkpoint") == (200, {})
    assert loop.time() - before >= 0.29


# Progress, interruption, order


async def test_progress_moves_and_never_reaches_one(start: StartServer) -> None:
    webui = await start(step_seconds=0.02)
    idle = await webui.get("progress")
    assert (idle["progress"], idle["state"]["job_count"], idle["current_image"]) == (0, 0, None)
    job = asyncio.create_task(webui.make(steps=25, n_iter=2))
    first = await webui.until(lambda progress: progress["state"]["sampling_step"] >= 3)
    assert first["current_image"] is None
    state = first["state"]
    assert 0.01 + state["job_no"] / 2 + state["sampling_step"] / 25 / 2 == pytest.approx(first["progress"])
    later = await webui.until(lambda progress: progress["current_image"] is not None)
    assert later["state"]["sampling_step"] >= 10
    assert read_image(later["current_image"]).size == (8, 8)
    assert (await webui.get("progress?skip_current_image=true"))["current_image"] is None
    second = await webui.until(lambda progress: progress["state"]["job_no"] == 1)
    assert first["progress"] < later["progress"] < second["progress"] < 1
    assert (second["state"]["job"], second["state"]["job_count"]) == ("Batch 2 out of 2", 2)
    _, info = await job
    assert info["job_timestamp"] == second["state"]["job_timestamp"]
    assert (await webui.get("progress"))["progress"] == 0


async def test_an_upscale_that_fails_leaves_a_state_behind_until_the_next_job(webui: WebUi) -> None:
    assert (await webui.post("extra-single-image", {"image": PIXEL, "upscaler_1": "Magic"}))[0] == 500
    assert (await webui.get("progress"))["state"]["job_count"] == 1
    await webui.upscale(read_image(PIXEL))
    assert (await webui.get("progress"))["state"]["job_count"] == 0


async def test_interrupt_makes_the_job_answer_200_with_what_it_has(start: StartServer) -> None:
    webui, quick = await start(step_seconds=0.02), await start()
    job = asyncio.create_task(webui.make(steps=20, n_iter=3, seed=9))
    await webui.until(lambda progress: progress["state"]["job_no"] == 1)
    assert await webui.post("interrupt") == (200, {})
    images, info = await job
    assert info["all_seeds"] == [9, 10, 11]
    assert (await webui.get("progress"))["state"]["sampling_step"] < 19, "it stopped in the middle of the batch"
    assert (len(images), len(info["infotexts"])) == (2, 2)
    finished, _ = await quick.make(steps=20, n_iter=2, seed=9)
    assert same(finished[0], images[0])
    assert not same(finished[1], images[1]), "half finished"


async def test_interrupt_is_harmless_when_idle(webui: WebUi) -> None:
    assert await webui.post("interrupt") == (200, {})
    images, _ = await webui.make(n_iter=2)
    assert len(images) == 2


async def test_jobs_wait_and_run_in_the_order_of_their_arrival(start: StartServer) -> None:
    webui = await start(step_seconds=0.04)
    ended: list[int] = []

    async def run(number: int) -> None:
        kind = ("txt2img", {"steps": 2}) if number % 2 else ("extra-single-image", {"image": PIXEL})
        status, _ = await webui.post(kind[0], SMALL | kind[1])
        assert status == 200
        ended.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(run(number))
            await asyncio.sleep(0.03)
    assert list(range(6)) == ended


async def test_closing_the_connection_does_not_stop_the_job(start: StartServer) -> None:
    webui = await start(step_seconds=0.02)
    job = asyncio.create_task(webui.make(steps=20))
    await webui.until(lambda progress: progress["state"]["sampling_step"] >= 2)
    job.cancel()
    await asyncio.wait([job])
    await webui.until(lambda progress: progress["state"]["sampling_step"] >= 10)
    await webui.until(lambda progress: progress["state"]["job_count"] == 0)


# The rest of the API


async def test_small_questions_have_answers_of_the_webuis_shape(webui: WebUi) -> None:
    memory = await webui.get("memory")
    assert {"free", "used", "total"} == set(memory["ram"])
    assert {"name", "aliases", "options"} == set((await webui.get("samplers"))[0])
    assert await webui.get("sd-vae") == []
    assert await webui.get("loras") == []
    assert "sd_checkpoints_limit" in await webui.get("options")
    assert await webui.post("refresh-checkpoints") == (200, None)
    _, clip = await webui.post("interrogate", {"image": PIXEL})
    _, tags = await webui.post("interrogate", {"image": PIXEL, "model": "deepdanbooru"})
    assert clip["caption"] == "a square picture of 8 by 8 pixels, mostly dark, preview caption"
    assert tags["caption"] == "dark_theme, no_humans, preview_caption"


@pytest.mark.parametrize(("wanted", "given"), [("gzip", "gzip"), ("identity", None)])
async def test_answers_are_compressed_only_for_who_asks(start: StartServer, wanted: str, given: str | None) -> None:
    webui = await start()
    headers = {"Accept-Encoding": wanted}
    async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as client:
        answer = await client.get(f"{webui._url}/sdapi/v1/options")
        assert given == answer.headers.get("Content-Encoding")


# The process


async def start_process(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    command = (sys.executable, "-m", "darkroom_local.preview", "--port", "0", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    ready = (await process.stdout.readline()).decode().split()
    assert ready[0] == "ready"
    return process, ready[1]


async def test_sigterm_finishes_the_job_in_flight_and_drops_those_that_wait() -> None:
    process, url = await start_process(
        "--model", "mine.safetensors", "--step-seconds", "0.02", "--load-seconds", "0"
    )
    try:
        async with asyncio.timeout(10), aiohttp.ClientSession() as client:
            webui = WebUi(client, url)
            running = asyncio.create_task(webui.make(steps=50))
            await webui.until(lambda progress: progress["state"]["sampling_step"] >= 1)
            waiting = asyncio.create_task(webui.make())
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            images, info = await running
            assert (len(images), info["sd_model_name"]) == (1, "mine")
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await waiting
            assert process.stdout
            log = (await process.stdout.read()).decode()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "POST /sdapi/v1/txt2img 200" in log
    assert "POST /sdapi/v1/txt2img dropped" in log
