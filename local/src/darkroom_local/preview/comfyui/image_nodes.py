"""The nodes that load, change and save images. A value of type `IMAGE` is a list of RGB images of one size."""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from PIL import Image, ImageChops, ImageMath, ImageOps, ImageSequence

from darkroom_local.preview.comfyui.classes import Input, Job, NodeClass, Result, number, one_of
from darkroom_local.preview.comfyui.folders import Folders

Images: TypeAlias = list[Image.Image]
_Mode: TypeAlias = Callable[[Image.Image, Image.Image, float], Image.Image]

LARGEST = 16384
METHODS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
IMAGE = Input("IMAGE")
_NO_MASK = (64, 64)


def make_image_nodes(folders: Folders) -> list[NodeClass]:
    """The classes that work on images."""
    scaling = {"image": IMAGE, "upscale_method": one_of(*METHODS)}
    size = {name: number("INT", 512, 0, LARGEST, step=1) for name in ("width", "height")}
    empty = {name: number("INT", 512, 1, LARGEST, step=1) for name in ("width", "height")}
    colours = number("INT", 0, 0, 0xFFFFFF, step=1, display="color")
    return [
        _load(folders),
        NodeClass(
            "EmptyImage",
            "EmptyImage",
            "image",
            {**empty, "batch_size": number("INT", 1, 1, 4096), "color": colours},
            ("IMAGE",),
            _run(_make_empty),
        ),
        NodeClass(
            "ImageScale",
            "Upscale Image",
            "image/upscaling",
            {**scaling, **size, "crop": one_of("disabled", "center")},
            ("IMAGE",),
            _run(_scale),
        ),
        NodeClass(
            "ImageScaleBy",
            "Upscale Image By",
            "image/upscaling",
            {**scaling, "scale_by": number("FLOAT", 1.0, 0.01, 8.0, step=0.01)},
            ("IMAGE",),
            _run(_scale_by),
        ),
        NodeClass(
            "ImageBlend",
            "Image Blend",
            "image/postprocessing",
            {
                "image1": IMAGE,
                "image2": IMAGE,
                "blend_factor": number("FLOAT", 0.5, 0.0, 1.0, step=0.01),
                "blend_mode": Input(options={"multiselect": False, "options": list(_MODES)}),
            },
            ("IMAGE",),
            _run(_blend),
        ),
        NodeClass("ImageInvert", "Invert Image", "image", {"image": IMAGE}, ("IMAGE",), _run(_invert)),
        _save(folders, "SaveImage", "Save Image", "output"),
        _save(folders, "PreviewImage", "Preview Image", "temp"),
    ]


def resize(image: Image.Image, size: tuple[int, int], method: str, crop: str = "disabled") -> Image.Image:
    """Bring an image to a size: stretched, or cut at both sides to its shape first (`center`)."""
    if crop == "center":
        width, height = image.size
        wide = width / height - size[0] / size[1]
        x = round((width - height * size[0] / size[1]) / 2) if wide > 0 else 0
        y = round((height - width * size[1] / size[0]) / 2) if wide < 0 else 0
        image = image.crop((x, y, width - x, height - y))
    if method in {"bilinear", "bicubic"}:  # between the nearest pixels, however much smaller the image gets
        matrix = (image.width / size[0], 0, 0, 0, image.height / size[1], 0)
        return image.transform(size, Image.Transform.AFFINE, matrix, METHODS[method])
    return image.resize(size, METHODS[method])


def blend(first: Image.Image, second: Image.Image, factor: float, mode: str) -> Image.Image:
    """Blend two images of one size: 0 keeps the first, 1 is the mode's own result."""
    if mode not in _MODES:
        raise ValueError(f"Unsupported blend mode: {mode}")
    bands = zip(first.split(), second.split(), strict=True)
    return Image.merge("RGB", [_MODES[mode](a, b, factor) for a, b in bands])


def _run(work: Callable[[Mapping[str, Any]], Images]) -> Any:  # noqa: ANN401  a `Run`
    async def run(_: Job, inputs: dict[str, Any]) -> Result:
        return Result((await asyncio.to_thread(work, inputs),))

    return run


def _make_empty(inputs: Mapping[str, Any]) -> Images:
    colour = inputs["color"]
    rgb = (colour >> 16 & 0xFF, colour >> 8 & 0xFF, colour & 0xFF)
    image = Image.new("RGB", (inputs["width"], inputs["height"]), rgb)
    return [image] * int(inputs["batch_size"])


def _scale(inputs: Mapping[str, Any]) -> Images:
    images: Images = inputs["image"]
    width, height = inputs["width"], inputs["height"]
    if width == 0 and height == 0:
        return images
    old = images[0].size
    size = width or max(1, round(old[0] * height / old[1])), height or max(1, round(old[1] * width / old[0]))
    return [resize(image, size, inputs["upscale_method"], inputs["crop"]) for image in images]


def _scale_by(inputs: Mapping[str, Any]) -> Images:
    images: Images = inputs["image"]
    width, height = (round(side * inputs["scale_by"]) for side in images[0].size)
    return [resize(image, (width, height), inputs["upscale_method"]) for image in images]


def _invert(inputs: Mapping[str, Any]) -> Images:
    return [ImageOps.invert(image) for image in inputs["image"]]


def _blend(inputs: Mapping[str, Any]) -> Images:
    first: Images = inputs["image1"]
    second: Images = inputs["image2"]
    count = max(len(first), len(second))
    if len({len(first), len(second), count, 1}) > 2:  # noqa: PLR2004  equal, or one of them is a single image
        sizes = f"the size of tensor b ({len(second)}) at non-singleton dimension 0"
        raise ValueError(f"The size of tensor a ({len(first)}) must match {sizes}")
    fitted = [b if b.size == first[0].size else resize(b, first[0].size, "bicubic", "center") for b in second]
    pairs = [(first[i % len(first)], fitted[i % len(fitted)]) for i in range(count)]
    return [blend(a, b, inputs["blend_factor"], inputs["blend_mode"]) for a, b in pairs]


def _compute(formula: Callable[[Any, Any], Any], a: Image.Image, b: Image.Image) -> Image.Image:
    """Compute with values from 0 to 1 and come back to 0 to 255."""

    def compute(args: dict[str, Any]) -> Any:  # noqa: ANN401  Pillow's own operand
        return args["convert"](formula(args["a"] / 255.0, args["b"] / 255.0) * 255.0 + 0.5, "L")

    computed: Image.Image = ImageMath.lambda_eval(compute, a=a.convert("F"), b=b.convert("F"))
    return computed


def _soft_light(a: Image.Image, b: Image.Image) -> Image.Image:
    dark = _compute(lambda x, y: x - (1 - 2 * y) * x * (1 - x), a, b)
    bright = a.point([round(255 * _brighten(value / 255)) for value in range(256)])
    light = _compute(
        lambda x, y: x + y, a, _compute(lambda x, y: x * y, b.point(_above_half), ImageChops.subtract(bright, a))
    )
    return Image.composite(dark, light, b.point(lambda value: 255 * (value <= 127)))  # noqa: PLR2004  a half


def _overlay(a: Image.Image, b: Image.Image) -> Image.Image:
    dark = _compute(lambda x, y: 2 * x * y, a, b)
    light = _compute(lambda x, y: 1 - 2 * (1 - x) * (1 - y), a, b)
    return Image.composite(dark, light, a.point(lambda value: 255 * (value <= 127)))  # noqa: PLR2004  a half


def _above_half(value: int) -> int:
    return max(0, 2 * value - 255)


def _brighten(x: float) -> float:
    return float(((16 * x - 12) * x + 4) * x if x <= 0.25 else x**0.5)  # noqa: PLR2004  the formula of W3C compositing


def _fade(mode: Callable[[Image.Image, Image.Image], Image.Image]) -> _Mode:
    return lambda a, b, factor: Image.blend(a, mode(a, b), factor)


def _take_away(a: Image.Image, b: Image.Image, factor: float) -> Image.Image:
    """The difference may be below 0 until it has been faded."""
    return ImageChops.subtract(a, b.point([round(factor * value) for value in range(256)]))


_MODES: Mapping[str, _Mode] = {
    "normal": _fade(lambda _, b: b),
    "multiply": _fade(ImageChops.multiply),
    "screen": _fade(ImageChops.screen),
    "overlay": _fade(_overlay),
    "soft_light": _fade(_soft_light),
    "difference": _take_away,
}


def _load(folders: Folders) -> NodeClass:
    def check(inputs: Mapping[str, Any]) -> tuple[str, str] | None:
        name = inputs.get("image")
        known = isinstance(name, list) or folders.find(str(name)) is not None
        return None if known else ("image", f"Invalid image file: {name}")

    def mark(inputs: Mapping[str, Any]) -> str:
        path = folders.find(str(inputs.get("image")))
        return hashlib.sha256(path.read_bytes()).hexdigest() if path else "gone"

    def load(inputs: Mapping[str, Any]) -> tuple[Images, Images]:
        path = folders.find(inputs["image"])
        if path is None:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {inputs['image']!r}")
        with Image.open(path) as file:
            frames = [ImageOps.exif_transpose(frame) for frame in ImageSequence.Iterator(file)]
        frames = [frame for frame in frames if frame.size == frames[0].size]
        return [frame.convert("RGB") for frame in frames], [_mask(frame) for frame in frames]

    async def run(_: Job, inputs: dict[str, Any]) -> Result:
        return Result(await asyncio.to_thread(load, inputs))

    given = {"image": Input(options={"image_upload": True}, choices=folders.list_images)}
    return NodeClass("LoadImage", "Load Image", "image", given, ("IMAGE", "MASK"), run, check=check, mark=mark)


def _mask(image: Image.Image) -> Image.Image:
    """What is transparent is white; nothing is where there is no transparency."""
    if "A" in image.getbands() or "transparency" in image.info:
        return ImageOps.invert(image.convert("RGBA").getchannel("A"))
    return Image.new("L", _NO_MASK)


def _save(folders: Folders, name: str, title: str, kind: str) -> NodeClass:
    async def run(job: Job, inputs: dict[str, Any]) -> Result:
        letters = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5))  # noqa: S311  no secret
        prefix = inputs.get("filename_prefix", f"ComfyUI_temp_{letters}")
        saved = await asyncio.to_thread(folders.save, inputs["images"], prefix, kind, job.graph)
        return Result(shown={"images": saved})

    given = {"images": IMAGE}
    if kind == "output":
        given["filename_prefix"] = Input("STRING", {"default": "ComfyUI"})
    return NodeClass(name, title, "image", given, (), run, output_node=True)
