"""What needs no checkpoint: upscales, captions of images, and reading a picture's parameters."""

import asyncio
from html import escape
from typing import Any

from PIL import Image

from darkroom_local.preview.bodies import BatchUpscaling, Interrogation, PictureInfo, SingleUpscaling, Upscaling
from darkroom_local.preview.errors import RefusedError
from darkroom_local.preview.generation import encode_images
from darkroom_local.preview.images import decode_image, read_texts
from darkroom_local.preview.infotexts import join_pairs, read_infotext
from darkroom_local.preview.runtime import PreviewRuntime
from darkroom_local.preview.upscalers import upscale

Answer = dict[str, Any]
Images = list[Image.Image]

COLOURS = {"dark": (30, 30, 36), "bright": (235, 235, 230), "red": (190, 70, 60), "golden": (210, 170, 80),
           "green": (80, 150, 80), "turquoise": (80, 160, 165), "blue": (70, 100, 180), "violet": (130, 80, 150),
           "grey": (128, 128, 128)}  # fmt: skip


async def upscale_one(runtime: PreviewRuntime, request: SingleUpscaling) -> Answer:
    """Serve POST /sdapi/v1/extra-single-image: `{html_info, image}`.

    Raises:
        PreviewError: the image or an upscaler's name is no good.
    """
    image = await asyncio.to_thread(decode_image, request.image)
    images, html_info = await _upscale(runtime, request, [image])
    return {"html_info": html_info, "image": images[0]}


async def upscale_batch(runtime: PreviewRuntime, request: BatchUpscaling) -> Answer:
    """Serve POST /sdapi/v1/extra-batch-images: `{html_info, images}`, in order, without names.

    Raises:
        PreviewError: as `upscale_one`.
    """
    images = [await asyncio.to_thread(decode_image, image.data) for image in request.images]
    results, html_info = await _upscale(runtime, request, images)
    return {"html_info": html_info, "images": results}


async def interrogate(runtime: PreviewRuntime, request: Interrogation) -> Answer:
    """Serve POST /sdapi/v1/interrogate: `{caption}`. There is no model to look: it tells size and main colour.

    Raises:
        RefusedError: 404 for an unknown model, 500 for a bad image.
    """
    image = await asyncio.to_thread(decode_image, request.image)
    describe = {"clip": _describe_sentence, "deepdanbooru": _describe_tags}.get(request.model)
    if describe is None:
        raise RefusedError(404, "Model not found")

    async def job() -> str:
        await asyncio.sleep(runtime.pace.step)
        return await asyncio.to_thread(describe, image)

    return {"caption": await runtime.jobs.run("interrogate", job)}


async def read_picture_info(request: PictureInfo) -> Answer:
    """Serve POST /sdapi/v1/png-info: `{info, items, parameters}`.

    Raises:
        RefusedError: 500 for a bad image.
    """
    items = read_texts(await asyncio.to_thread(decode_image, request.image.strip()))
    info = items.pop("parameters", "")
    return {"info": info, "items": items, "parameters": read_infotext(info)}


async def _upscale(runtime: PreviewRuntime, request: Upscaling, images: Images) -> tuple[list[str], str]:
    done: dict[str, str] = {}
    results: Images = []

    async def job() -> None:
        state = runtime.jobs.state
        state.job_count = len(images)
        for number, image in enumerate(images):
            state.job_no = number
            if state.interrupted:
                break
            await asyncio.sleep(runtime.pace.step)
            result, texts = await asyncio.to_thread(upscale, image, request)
            result.info.clear()
            result.info.update(read_texts(image), postprocessing=join_pairs(texts))
            results.append(result)
            done.update(texts)

    await runtime.jobs.run("extras", job, tidy=False)
    return await encode_images(runtime, results), f"<p>{escape(join_pairs(done))}</p>"


def _main_colour(image: Image.Image) -> str:
    pixel = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if not isinstance(pixel, tuple):
        return "grey"
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(pixel, COLOURS[name], strict=True)))


def _describe_sentence(image: Image.Image) -> str:
    shape = "tall" if image.height > image.width else "wide" if image.width > image.height else "square"
    size = f"{image.width} by {image.height} pixels"
    return f"a {shape} picture of {size}, mostly {_main_colour(image)}, preview caption"


def _describe_tags(image: Image.Image) -> str:
    return f"{_main_colour(image)}_theme, no_humans, preview_caption"
