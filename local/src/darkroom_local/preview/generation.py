"""Text-to-image and image-to-image: the WebUI's loop over batches, with a drawing in place of a model."""

import asyncio
from collections.abc import Iterable
from typing import Any

from PIL import Image

from darkroom_local.preview.batches import Batch, target_size
from darkroom_local.preview.blending import Draft, read_mask
from darkroom_local.preview.bodies import Generation, ImageToImage, TextToImage
from darkroom_local.preview.captions import draw_tag
from darkroom_local.preview.errors import RefusedError
from darkroom_local.preview.images import decode_image, encode_image
from darkroom_local.preview.pictures import coarsen
from darkroom_local.preview.runtime import PreviewRuntime
from darkroom_local.preview.samplers import check_sampler, check_scripts

Answer = dict[str, Any]

# A live preview has a latent's size: an eighth of the picture's
PREVIEW_SCALE = 8


async def text_to_image(runtime: PreviewRuntime, request: TextToImage) -> Answer:
    """Serve POST /sdapi/v1/txt2img: `{images, parameters, info}`.

    Raises:
        PreviewError: the request cannot be served.
    """
    check_sampler(request.sampler)
    check_scripts("txt2img", request.script_name, request.alwayson_scripts)
    return await _generate(runtime, "txt2img", request, None)


async def image_to_image(runtime: PreviewRuntime, request: ImageToImage) -> Answer:
    """Serve POST /sdapi/v1/img2img: as `text_to_image`; the given images are not echoed unless asked for.

    Raises:
        PreviewError: the request cannot be served; without `init_images` it is a 404.
    """
    if request.init_images is None:
        raise RefusedError(404, "Init image not found")
    mask = await asyncio.to_thread(read_mask, request.mask)
    check_sampler(request.sampler)
    check_scripts("img2img", request.script_name, request.alwayson_scripts)
    answer = await _generate(runtime, "img2img", request, mask)
    if not request.include_init_images:
        answer["parameters"] |= {"init_images": None, "mask": None}
    return answer


async def _generate(runtime: PreviewRuntime, tab: str, request: Generation, mask: Image.Image | None) -> Answer:
    async def job() -> tuple[Batch, str]:
        batch = await _run_overridden(runtime, request, mask)
        return batch, batch.describe(runtime.jobs.state.job_timestamp)

    batch, info = await runtime.jobs.run(f"scripts_{tab}", job)
    # after the job, as in the WebUI: an overridden samples_format is already gone again here
    images = await encode_images(runtime, batch.images) if request.send_images else []
    return {"images": images, "parameters": request.model_dump(mode="json"), "info": info}


async def encode_images(runtime: PreviewRuntime, images: Iterable[Image.Image]) -> list[str]:
    """Encode in the format that the options name.

    Raises:
        RefusedError: 500 for a format that is none.
    """
    samples_format, quality = runtime.options["samples_format"], runtime.options["jpeg_quality"]
    return [await asyncio.to_thread(encode_image, image, samples_format, quality) for image in images]


async def _run_overridden(runtime: PreviewRuntime, request: Generation, mask: Image.Image | None) -> Batch:
    settings = request.override_settings or {}
    if runtime.checkpoints.find(settings.get("sd_model_checkpoint")) is None:
        # silently, in the echoed parameters too: the current model serves instead
        settings.pop("sd_model_checkpoint", None)
    with runtime.options.overridden(settings, restore=request.override_settings_restore_afterwards):
        checkpoint = await runtime.load_selected()
        drafts = await asyncio.to_thread(_read_drafts, request, mask)
        clip_skip = runtime.options["CLIP_stop_at_last_layers"]
        batch = Batch.from_request(request, checkpoint, clip_skip, drafts)
        await _run_batches(runtime, batch)
        return batch


def _read_drafts(request: Generation, mask: Image.Image | None) -> list[Draft]:
    if not isinstance(request, ImageToImage):
        return []
    size = target_size(request)
    images = [decode_image(text) for text in request.init_images or []]
    return [Draft.from_request(image, mask, request, size) for image in images]


async def _run_batches(runtime: PreviewRuntime, batch: Batch) -> None:
    """Make the pictures batch by batch; an interrupt leaves those that are finished, or half finished."""
    state = runtime.jobs.state
    request = batch.request
    passes = _count_steps(request)
    state.job_count = request.n_iter * len(passes)
    for start in range(0, len(batch.seeds), batch.batch_size):
        if state.interrupted:
            break
        if request.n_iter > 1:
            state.job = f"Batch {start // batch.batch_size + 1} out of {request.n_iter}"
        await _run_batch(runtime, batch, range(start, start + batch.batch_size), passes)
    if request.save_images and runtime.options["return_grid"] and len(batch.images) > 1:
        await asyncio.to_thread(batch.add_grid)


async def _run_batch(runtime: PreviewRuntime, batch: Batch, indices: range, passes: list[int]) -> None:
    state = runtime.jobs.state
    pictures = [await asyncio.to_thread(batch.draw, index) for index in indices]
    state.sketch = lambda: _sketch(pictures[0], state.sampling_step / max(1, state.sampling_steps))
    for number, steps in enumerate(passes):
        state.job_no = indices.start // batch.batch_size * len(passes) + number
        await runtime.sample(steps)
    done = (state.sampling_step + 1) / max(1, state.sampling_steps)
    for index, picture in zip(indices, pictures, strict=True):
        # labelled anew: coarse as it is, its own label may be past reading
        batch.add(index, draw_tag(coarsen(picture, done), "unfinished preview") if state.interrupted else picture)


def _sketch(picture: Image.Image, done: float) -> Image.Image:
    return coarsen(picture.reduce(PREVIEW_SCALE), done)


def _count_steps(request: Generation) -> list[int]:
    """The sampling passes of one batch: image-to-image skips the steps that its strength leaves out."""
    steps = max(1, request.steps)
    if isinstance(request, ImageToImage):
        return [int(min(request.denoising_strength or 0.0, 0.999) * steps) + 1]
    if isinstance(request, TextToImage) and request.enable_hr:
        return [steps, request.hr_second_pass_steps or steps]
    return [steps]
