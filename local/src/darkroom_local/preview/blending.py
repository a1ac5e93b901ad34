"""How an image-to-image picture comes from the given image: resized, blended, and only where the mask says so."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageOps

from darkroom_local.preview.bodies import ImageToImage
from darkroom_local.preview.images import decode_image

Size = tuple[int, int]
Box = tuple[int, int, int, int]
Picture = Image.Image

LANCZOS = Image.Resampling.LANCZOS

# `resize_mode`: 0 (and 3, which the WebUI does in latent space) stretches
CROP, FILL = 1, 2


def resize_to(image: Picture, size: Size, mode: int) -> Picture:
    """Bring an image to `size` (pixels): stretched, cropped to cover, or whole over its stretched self."""
    if image.size == size:
        return image
    if mode == CROP:
        return ImageOps.fit(image, size, LANCZOS)
    if mode == FILL:
        filled = image.resize(size, LANCZOS)
        whole = ImageOps.contain(image, size, LANCZOS)
        filled.paste(whole, ((size[0] - whole.width) // 2, (size[1] - whole.height) // 2))
        return filled
    return image.resize(size, LANCZOS)


@dataclass(frozen=True)
class Draft:
    """The given image, what may change in it, and how much.

    `mask` is L: 255 changes, 0 stays; None means all changes. `zoom` makes the masked region alone the subject
    (`inpaint_full_res`, the default): the result then has the given image's own size, not the request's.
    """

    image: Picture
    mask: Picture | None
    strength: float
    size: Size
    mode: int
    zoom: bool
    padding: int

    @classmethod
    def from_request(cls, image: Picture, mask: Picture | None, request: ImageToImage, size: Size) -> "Draft":
        """Prepare one of `init_images`; transparency becomes white."""
        return cls(
            image=_flatten(image),
            mask=mask and _prepare_mask(mask, request),
            strength=min(1.0, max(0.0, request.denoising_strength or 0.0)),
            size=size,
            mode=request.resize_mode,
            zoom=mask is not None and request.inpaint_full_res,
            padding=request.inpaint_full_res_padding,
        )

    def develop(self, draw: Callable[[], Picture]) -> Picture:
        """Blend with what `draw` draws at `size`: strength 0 keeps the image, 1 replaces it."""
        if self.zoom and self.mask:
            return self._develop_region(self.mask, draw)
        base = resize_to(self.image, self.size, self.mode)
        blended = Image.blend(base, draw(), self.strength)
        if self.mask is None:
            return blended
        return Image.composite(blended, base, resize_to(self.mask, self.size, self.mode))

    def _develop_region(self, mask: Picture, draw: Callable[[], Picture]) -> Picture:
        mask = resize_to(mask, self.image.size, 0)
        box = mask.getbbox()
        if box is None:
            return self.image.copy()
        box = _pad(box, self.padding, self.image.size)
        drawn = resize_to(draw(), (box[2] - box[0], box[3] - box[1]), CROP)
        changed = self.image.copy()
        changed.paste(Image.blend(self.image.crop(box), drawn, self.strength), box[:2])
        return Image.composite(changed, self.image, mask)


def read_mask(text: str | None) -> Picture | None:
    """Decode the request's `mask`, if it has one.

    Raises:
        RefusedError: 500, as `decode_image`.
    """
    return decode_image(text) if text else None


def _prepare_mask(mask: Picture, request: ImageToImage) -> Picture:
    # a mask that is partly transparent means its opacity, any other its brightness
    transparent = "A" in mask.getbands() and mask.getchannel("A").getextrema() != (255, 255)
    grey = mask.getchannel("A") if transparent else mask.convert("L")
    if request.inpainting_mask_invert:
        grey = ImageOps.invert(grey)
    x, y = request.mask_blur_x, request.mask_blur_y
    if request.mask_blur is not None:
        x = y = request.mask_blur
    return grey.filter(ImageFilter.GaussianBlur((max(0, x), max(0, y)))) if x > 0 or y > 0 else grey


def _flatten(image: Picture) -> Picture:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    paper = Image.new("RGB", image.size, "white")
    coloured = image.convert("RGBA")
    paper.paste(coloured, mask=coloured.getchannel("A"))
    return paper


def _pad(box: Box, padding: int, size: Size) -> Box:
    left, top, right, bottom = box
    return (
        max(0, left - padding),
        max(0, top - padding),
        min(size[0], right + padding),
        min(size[1], bottom + padding),
    )
