"""The pictures of one request: their seeds and sizes, how each is drawn, and what the answer tells of them."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from darkroom_local.preview.blending import Draft
from darkroom_local.preview.bodies import Generation, ImageToImage, TextToImage
from darkroom_local.preview.errors import FailedError, out_of_memory
from darkroom_local.preview.infotexts import VERSION, write_infotext
from darkroom_local.preview.models import Checkpoint
from darkroom_local.preview.pictures import Subject, draw_picture
from darkroom_local.preview.runtime import fix_seed

# One batch may hold this many pixels; the WebUI runs out of GPU memory somewhere, too
MAX_BATCH_PIXELS = 4096 * 4096

# What a model works in: the encoder's pixels come in blocks of eight
BLOCK = 8


@dataclass
class Batch:
    """One request being worked on, and what came of it so far.

    `size` is that of the pictures in pixels: the request's, after hires fix, cut to multiples of 8. `drafts` are
    the given images of image-to-image: one for all pictures, or one for each of a batch.
    """

    request: Generation
    checkpoint: Checkpoint
    clip_skip: int
    size: tuple[int, int]
    drafts: list[Draft]
    batch_size: int
    seeds: list[int]
    subseeds: list[int]
    images: list[Image.Image] = field(default_factory=list)
    infotexts: list[str] = field(default_factory=list)
    first_image: int = 0

    @classmethod
    def from_request(
        cls, request: Generation, checkpoint: Checkpoint, clip_skip: int, drafts: list[Draft]
    ) -> "Batch":
        """Settle seeds and sizes.

        Raises:
            FailedError: the pictures are too large, too small or none, or more images are given than a batch has.
        """
        width, height = size = target_size(request)
        batch_size = _fit_drafts(request.batch_size, len(drafts))
        count = batch_size * request.n_iter
        if count < 1 or min(size) < BLOCK:
            raise FailedError("ValueError", f"cannot make {count} pictures of {width}x{height}")
        if width * height * batch_size > MAX_BATCH_PIXELS:
            raise out_of_memory(width * height * batch_size)
        seed, subseed = fix_seed(request.seed), fix_seed(request.subseed)
        # with variations the seed stays and the subseed counts
        advance = 0 if request.subseed_strength else 1
        seeds = [seed + advance * index for index in range(count)]
        subseeds = [subseed + index for index in range(count)]
        return cls(request, checkpoint, clip_skip, size, drafts, batch_size, seeds, subseeds)

    def draw(self, index: int) -> Image.Image:
        """Draw one picture of the batch."""
        request = self.request
        variation = f"{self.subseeds[index]}:{request.subseed_strength}" if request.subseed_strength else ""
        subject = Subject(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            seed=self.seeds[index],
            width=self.size[0],
            height=self.size[1],
            model=self.checkpoint.short_name,
            settings=f"{request.sampler} {request.steps} {request.cfg_scale:g} {self.clip_skip} {variation}",
        )
        if not self.drafts:
            return draw_picture(subject)
        return self.drafts[index % len(self.drafts)].develop(lambda: draw_picture(subject))

    def add(self, index: int, picture: Image.Image) -> None:
        """Take a picture as finished, or as far as it got; its parameters go into the file."""
        infotext = self._write_infotext(index)
        picture.info["parameters"] = infotext
        self.images.append(picture)
        self.infotexts.append(infotext)

    def add_grid(self) -> None:
        """Put the grid of all pictures before them."""
        grid = _draw_grid(self.images)
        grid.info["parameters"] = self._write_infotext(0)
        self.images.insert(0, grid)
        self.infotexts.insert(0, self._write_infotext(0))
        self.first_image = 1

    def describe(self, job_timestamp: str) -> str:
        """`info` of the answer, as JSON text."""
        request = self.request
        return json.dumps(
            {
                "prompt": request.prompt,
                "all_prompts": [request.prompt] * len(self.seeds),
                "negative_prompt": request.negative_prompt,
                "all_negative_prompts": [request.negative_prompt] * len(self.seeds),
                "seed": self.seeds[0],
                "all_seeds": self.seeds,
                "subseed": self.subseeds[0],
                "all_subseeds": self.subseeds,
                "subseed_strength": request.subseed_strength,
                "width": request.width,
                "height": request.height,
                "sampler_name": request.sampler,
                "cfg_scale": request.cfg_scale,
                "steps": request.steps,
                "batch_size": self.batch_size,
                "restore_faces": bool(request.restore_faces),
                "face_restoration_model": None,
                "sd_model_name": self.checkpoint.short_name,
                "sd_model_hash": self.checkpoint.short_hash,
                "sd_vae_name": None,
                "sd_vae_hash": None,
                "seed_resize_from_w": request.seed_resize_from_w,
                "seed_resize_from_h": request.seed_resize_from_h,
                "denoising_strength": request.denoising_strength,
                "extra_generation_params": self._extra_parameters(),
                "index_of_first_image": self.first_image,
                "infotexts": self.infotexts,
                "styles": request.styles or [],
                "job_timestamp": job_timestamp,
                "clip_skip": self.clip_skip,
                "is_using_inpainting_conditioning": False,
                "version": VERSION,
            }
        )

    def _extra_parameters(self) -> dict[str, Any]:
        if isinstance(self.request, ImageToImage):
            return {"Denoising strength": self.request.denoising_strength}
        return {}

    def _write_infotext(self, index: int) -> str:
        request = self.request
        parameters = {
            "Steps": request.steps,
            "Sampler": request.sampler,
            "CFG scale": f"{request.cfg_scale:g}",
            "Seed": self.seeds[index],
            "Size": f"{request.width}x{request.height}",
            "Model hash": self.checkpoint.short_hash,
            "Model": self.checkpoint.short_name,
            "Variation seed": self.subseeds[index] if request.subseed_strength else None,
            "Variation seed strength": request.subseed_strength or None,
            **self._extra_parameters(),
            "Clip skip": self.clip_skip if self.clip_skip > 1 else None,
        }
        return write_infotext(request.prompt, request.negative_prompt, parameters)


def target_size(request: Generation) -> tuple[int, int]:
    """Width and height of the pictures in pixels: after hires fix, cut to multiples of 8."""
    width, height = request.width, request.height
    if isinstance(request, TextToImage) and request.enable_hr:
        width, height = _enlarge(request)
    return width // BLOCK * BLOCK, height // BLOCK * BLOCK


def _enlarge(request: TextToImage) -> tuple[int, int]:
    """The size after hires fix: by the factor, or to one or both sides."""
    width, height, x, y = request.width, request.height, request.hr_resize_x, request.hr_resize_y
    if not x and not y:
        return int(width * request.hr_scale), int(height * request.hr_scale)
    return x or y * width // height, y or x * height // width


def _fit_drafts(batch_size: int, drafts: int) -> int:
    """Several given images make a batch of their own, of at most the requested size."""
    if drafts > max(1, batch_size):
        message = f"bad number of images passed: {drafts}; expecting {batch_size} or less"
        raise FailedError("RuntimeError", message)
    return drafts if drafts > 1 else batch_size


def _draw_grid(images: list[Image.Image]) -> Image.Image:
    """About as many rows as columns, black where the last row ends early."""
    rows = min(len(images), round(math.sqrt(len(images))))
    columns = math.ceil(len(images) / rows)
    width, height = images[0].size
    grid = Image.new("RGB", (columns * width, rows * height))
    for index, image in enumerate(images):
        grid.paste(image, (index % columns * width, index // columns * height))
    return grid
