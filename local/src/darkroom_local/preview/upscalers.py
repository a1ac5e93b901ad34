"""Upscales: computed for real where an interpolation does it, by a labelled stand-in where a network would.

Sizes, rounding and order of steps are those of AUTOMATIC1111 1.8's "Upscale" postprocessing.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from PIL import Image

from darkroom_local.preview.bodies import Upscaling
from darkroom_local.preview.captions import draw_tag
from darkroom_local.preview.errors import FailedError, out_of_memory

Texts = dict[str, str]

LANCZOS = Image.Resampling.LANCZOS
NEAREST = Image.Resampling.NEAREST
BICUBIC = Image.Resampling.BICUBIC

# A larger upscale is refused like one that a 24 GB card cannot hold: 8192 by 8192 are 200 MB as plain RGB
MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Upscaler:
    """One entry of the WebUI's list; `method` is None where only a network of its own could compute it."""

    name: str
    method: Image.Resampling | None = None
    model_path: str | None = None

    def describe(self) -> dict[str, Any]:
        """One entry of `/sdapi/v1/upscalers`."""
        model_name = PurePosixPath(self.model_path).stem if self.model_path else None
        return {
            "name": self.name,
            "model_name": model_name,
            "model_path": self.model_path,
            "model_url": None,
            "scale": 4,
        }

    def resize(self, image: Image.Image, factor: float) -> Image.Image:
        """Enlarge by `factor`; the sides are then cut to multiples of 8, by a second resize where they are none.

        The stand-in of a network is a bicubic resize with a label that names the network.

        Raises:
            FailedError: `OutOfMemoryError` above `MAX_PIXELS`.
        """
        size = int(image.width * factor), int(image.height * factor)
        target = int(image.width * factor // 8 * 8), int(image.height * factor // 8 * 8)
        if size[0] * size[1] > MAX_PIXELS:
            raise out_of_memory(size[0] * size[1])
        if self.method is None:
            return draw_tag(image.resize(target, BICUBIC), f"preview of {self.name}")
        result = image.resize(size, self.method)
        return result if size == target else result.resize(target, LANCZOS)


MODELS = "/stable-diffusion-webui/models"

UPSCALERS = (
    Upscaler("None", NEAREST),
    Upscaler("Lanczos", LANCZOS),
    Upscaler("Nearest", NEAREST),
    Upscaler("4x-UltraSharp", model_path=f"{MODELS}/ESRGAN/4x-UltraSharp.pth"),
    Upscaler("ESRGAN_4x", model_path=f"{MODELS}/ESRGAN/ESRGAN_4x.pth"),
    # the spelling that users of the guide send; a real server has it once a file of that name lies there
    Upscaler("ESRGAN_4X", model_path=f"{MODELS}/ESRGAN/ESRGAN_4X.pth"),
    Upscaler("LDSR", model_path=f"{MODELS}/LDSR/model.ckpt"),
    Upscaler("R-ESRGAN 4x+", model_path=f"{MODELS}/RealESRGAN/RealESRGAN_x4plus.pth"),
    Upscaler("R-ESRGAN 4x+ Anime6B", model_path=f"{MODELS}/RealESRGAN/RealESRGAN_x4plus_anime_6B.pth"),
    Upscaler("ScuNET GAN", model_path=f"{MODELS}/ScuNET/ScuNET.pth"),
    Upscaler("ScuNET PSNR", model_path=f"{MODELS}/ScuNET/ScuNET_psnr.pth"),
    Upscaler("SwinIR 4x", model_path=f"{MODELS}/SwinIR/SwinIR_4x.pth"),
)


def find_upscaler(name: str) -> Upscaler | None:
    """The upscaler of exactly this name; None for "None", which leaves the image as it is.

    Raises:
        FailedError: `AssertionError`, as the WebUI says of a name that it does not know.
    """
    if name == "None":
        return None
    for upscaler in UPSCALERS:
        if upscaler.name == name:
            return upscaler
    raise FailedError("AssertionError", f"could not find upscaler named {name}")


def upscale(image: Image.Image, request: Upscaling) -> tuple[Image.Image, Texts]:
    """Do what the request asks with one image; return it and what was done, as the WebUI words it.

    The result is RGB. Without a first upscaler nothing is done, whatever the second one is.

    Raises:
        FailedError: an unknown upscaler, or too many pixels.
    """
    image = image.convert("RGB")
    first = find_upscaler(request.upscaler_1)
    if first is None:
        return image, {}
    second = find_upscaler(request.upscaler_2)
    result, done = _fit(image, first, request)
    done["Postprocess upscaler"] = first.name
    visibility = request.extras_upscaler_2_visibility
    if second and visibility > 0:
        result = Image.blend(result, _fit(image, second, request)[0], visibility)
        done["Postprocess upscaler 2"] = second.name
    return result, done


def _fit(image: Image.Image, upscaler: Upscaler, request: Upscaling) -> tuple[Image.Image, Texts]:
    if request.resize_mode == 0:
        factor = request.upscaling_resize
        return upscaler.resize(image, factor), {"Postprocess upscale by": f"{factor:g}"}
    width, height = request.upscaling_resize_w, request.upscaling_resize_h
    done = {"Postprocess upscale to": f"{width}x{height}"}
    # the sides' ratio is kept: the image covers the target, and is larger than it unless cropped
    result = upscaler.resize(image, max(width / image.width, height / image.height))
    if request.upscaling_crop:
        result = _crop_centre(result, width, height)
        done["Postprocess crop to"] = f"{width}x{height}"
    return result, done


def _crop_centre(image: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image, (width // 2 - image.width // 2, height // 2 - image.height // 2))
    return canvas
