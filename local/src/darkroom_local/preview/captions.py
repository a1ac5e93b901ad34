"""Words on pictures, so that nobody takes a preview for a result."""

from functools import lru_cache
from unicodedata import combining, normalize

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER = (255, 255, 255)
SHADE = (14, 16, 24)
SHADE_OPACITY = 0.55
# Below this side (pixels) only the word "preview" finds room
SMALLEST_CAPTIONED = 128


@lru_cache(maxsize=16)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def draw_tag(image: Image.Image, text: str) -> Image.Image:
    """Write `text` on a small dark pill in the upper right corner (in place); return the image."""
    size = _font_size(image, 28)
    margin = size // 2
    text = _shorten(text, _font(size), image.width - 4 * margin)
    width = _width(text, _font(size))
    left, top = image.width - width - 3 * margin, margin
    _shade(image, (left, top, image.width - margin, top + 2 * size), radius=size)
    draw = ImageDraw.Draw(image)
    draw.text((left + margin, top + size), text, PAPER, _font(size), anchor="lm")
    return image


def draw_caption(image: Image.Image, title: str, line: str) -> Image.Image:
    """Write a title and a smaller line on a dark strip at the foot (in place); return the image.

    Characters that the built-in font lacks are left out; too long a title ends in an ellipsis.
    """
    if min(image.size) < SMALLEST_CAPTIONED:
        return image
    size = _font_size(image, 20)
    small = max(9, size * 2 // 3)
    margin = size * 2 // 3
    title = _shorten(_printable(title), _font(size), image.width - 2 * margin)
    line = _shorten(_printable(line), _font(small), image.width - 2 * margin)
    top = image.height - (size + margin if title else 0) - small - 2 * margin
    _shade(image, (0, top, image.width, image.height))
    draw = ImageDraw.Draw(image)
    draw.text((margin, top + margin), title, PAPER, _font(size), anchor="lt")
    draw.text((margin, image.height - margin), line, (214, 220, 232), _font(small), anchor="lb")
    return image


def _font_size(image: Image.Image, share: int) -> int:
    return max(10, min(image.size) // share)


def _shade(image: Image.Image, box: tuple[int, int, int, int], radius: int = 0) -> None:
    mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
    opacity = round(255 * SHADE_OPACITY)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), radius, fill=opacity)
    image.paste(SHADE, box[:2], mask)


def _printable(text: str) -> str:
    """What the built-in font can draw: ASCII. Accents fall away, breaks and runs of blanks become a blank."""
    plain = "".join(letter if letter.isascii() or letter == "·" else " " for letter in _bare(text))
    return " ".join(plain.split())


def _bare(text: str) -> str:
    return "".join(letter for letter in normalize("NFKD", text) if not combining(letter))


def _shorten(text: str, font: Font, width: int) -> str:
    if _width(text, font) <= width:
        return text
    while text and _width(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _width(text: str, font: Font) -> int:
    return int(font.getlength(text)) + 1
