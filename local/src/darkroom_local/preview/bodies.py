"""The bodies of `/sdapi/v1`: every field optional, unknown ones ignored, defaults those of AUTOMATIC1111 1.8."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Visibility = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _truncate(value: object) -> object:
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


# The WebUI's pydantic 1 cuts 20.7 steps to 20, pydantic 2 would refuse them
Integer = Annotated[int, BeforeValidator(_truncate)]


class Body(BaseModel):
    """What every request has in common."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


class Generation(Body):
    """What txt2img and img2img share. Sizes are pixels, a `seed` of -1 means a random one."""

    prompt: str = ""
    negative_prompt: str = ""
    styles: list[str] | None = None
    seed: Integer = -1
    subseed: Integer = -1
    subseed_strength: float = 0
    seed_resize_from_h: Integer = -1
    seed_resize_from_w: Integer = -1
    sampler_name: str | None = None
    batch_size: Integer = 1
    n_iter: Integer = 1
    steps: Integer = 50
    cfg_scale: float = 7.0
    width: Integer = 512
    height: Integer = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = None
    denoising_strength: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None
    disable_extra_networks: bool = False
    comments: dict[str, Any] | None = None
    sampler_index: str = "Euler"
    script_name: str | None = None
    script_args: list[Any] = []
    send_images: bool = True
    save_images: bool = False
    alwayson_scripts: dict[str, Any] = {}

    @property
    def sampler(self) -> str:
        """The sampler's name; `sampler_index` is its older field."""
        return self.sampler_name or self.sampler_index


class TextToImage(Generation):
    """POST /sdapi/v1/txt2img."""

    enable_hr: bool = False
    firstphase_width: Integer = 0
    firstphase_height: Integer = 0
    hr_scale: float = 2.0
    hr_upscaler: str | None = None
    hr_second_pass_steps: Integer = 0
    hr_resize_x: Integer = 0
    hr_resize_y: Integer = 0
    hr_checkpoint_name: str | None = None
    hr_sampler_name: str | None = None
    hr_prompt: str = ""
    hr_negative_prompt: str = ""


class ImageToImage(Generation):
    """POST /sdapi/v1/img2img. In `mask`, white is what changes; `resize_mode` 0 stretches, 1 crops, 2 fills."""

    init_images: list[str] | None = None
    resize_mode: Integer = 0
    denoising_strength: float | None = 0.75
    image_cfg_scale: float | None = None
    mask: str | None = None
    mask_blur: Integer | None = None
    mask_blur_x: Integer = 4
    mask_blur_y: Integer = 4
    inpainting_fill: Integer = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: Integer = 0
    inpainting_mask_invert: Integer = 0
    initial_noise_multiplier: float | None = None
    include_init_images: Annotated[bool, Field(exclude=True)] = False


class Upscaling(Body):
    """What both upscale requests share: `resize_mode` 0 takes the factor, 1 the target size in pixels."""

    resize_mode: Literal[0, 1] = 0
    show_extras_results: bool = True
    gfpgan_visibility: Visibility = 0
    codeformer_visibility: Visibility = 0
    codeformer_weight: Visibility = 0
    upscaling_resize: Annotated[float, Field(ge=1, le=8)] = 2
    upscaling_resize_w: Annotated[Integer, Field(ge=1)] = 512
    upscaling_resize_h: Annotated[Integer, Field(ge=1)] = 512
    upscaling_crop: bool = True
    upscaler_1: str = "None"
    upscaler_2: str = "None"
    extras_upscaler_2_visibility: Visibility = 0
    upscale_first: bool = False


class SingleUpscaling(Upscaling):
    """POST /sdapi/v1/extra-single-image."""

    image: str = ""


class NamedImage(Body):
    """One image of a batch; its name comes back nowhere."""

    data: str
    name: str


class BatchUpscaling(Upscaling):
    """POST /sdapi/v1/extra-batch-images."""

    images: Annotated[list[NamedImage], Field(alias="imageList")]


class Interrogation(Body):
    """POST /sdapi/v1/interrogate."""

    image: str = ""
    model: str = "clip"


class PictureInfo(Body):
    """POST /sdapi/v1/png-info."""

    image: str
