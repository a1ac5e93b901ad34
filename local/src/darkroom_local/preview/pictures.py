"""The pictures that stand where a diffusion model's would: a landscape that follows from the request.

The seed gives the composition, the words (prompts and model) the colours, the remaining settings the stars: so a
variation of the prompt looks like one, as with a real model.
"""

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from PIL import Image, ImageDraw

from darkroom_local.preview.captions import draw_caption, draw_tag

Colour = tuple[int, int, int]

# Scenes are drawn at most this wide or high (pixels) and enlarged from there: they are smooth, nobody will see it
LARGEST_SCENE = 1024
HILLS = 5

# Hues (0 to 1) of the zenith, the horizon and the ground
PALETTES = (
    (0.62, 0.06, 0.66),  # dusk: blue over orange
    (0.58, 0.12, 0.48),  # morning: sky over straw, pines
    (0.76, 0.95, 0.70),  # violet over rose
    (0.52, 0.15, 0.55),  # lagoon
    (0.66, 0.45, 0.58),  # northern lights
    (0.95, 0.08, 0.85),  # ember
    (0.55, 0.60, 0.40),  # mist over meadows
)


@dataclass(frozen=True)
class Subject:
    """What a picture is drawn from; equal subjects give equal pixels. Sizes are pixels."""

    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    model: str
    settings: str


class _Dice:
    """Numbers that follow from a text alone, on every machine and every version of Python."""

    def __init__(self, text: str) -> None:
        self._numbers = self._roll(text)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self._numbers)

    def pick(self, count: int) -> int:
        return int(next(self._numbers) * count)

    @staticmethod
    def _roll(text: str) -> Iterator[float]:
        digest = text.encode()
        while True:
            digest = sha256(digest).digest()
            for start in range(0, len(digest), 4):
                yield int.from_bytes(digest[start : start + 4], "big") / 2**32


@dataclass(frozen=True)
class _Palette:
    zenith: Colour
    horizon: Colour
    light: Colour
    ground: Colour

    @classmethod
    def from_words(cls, words: str) -> "_Palette":
        dice = _Dice(f"colours {words}")
        zenith, horizon, ground = PALETTES[dice.pick(len(PALETTES))]
        shift = dice.between(-0.04, 0.04)
        return cls(
            zenith=_colour(zenith + shift, dice.between(0.5, 0.75), dice.between(0.4, 0.75)),
            horizon=_colour(horizon + shift, dice.between(0.35, 0.6), 0.96),
            light=_colour(horizon + shift, 0.14, 1.0),
            ground=_colour(ground + shift, dice.between(0.5, 0.7), dice.between(0.14, 0.24)),
        )


def draw_picture(subject: Subject) -> Image.Image:
    """Draw the picture (RGB, exactly `width` by `height`), with prompt, seed and the word "preview" on it."""
    scale = min(1.0, LARGEST_SCENE / max(subject.width, subject.height))
    size = max(1, round(subject.width * scale)), max(1, round(subject.height * scale))
    picture = _draw_scene(subject, size)
    if scale < 1:
        picture = picture.resize((subject.width, subject.height), Image.Resampling.BICUBIC)
    draw_caption(
        picture, subject.prompt, f"seed {subject.seed} · {subject.width} x {subject.height} · {subject.model}"
    )
    return draw_tag(picture, "preview")


def coarsen(picture: Image.Image, done: float) -> Image.Image:
    """What an unfinished picture looks like: blocks that shrink as `done` goes from 0 to 1."""
    block = max(1, round(min(picture.size) / 8 * (1 - done)))
    small = max(1, picture.width // block), max(1, picture.height // block)
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)


def _draw_scene(subject: Subject, size: tuple[int, int]) -> Image.Image:
    palette = _Palette.from_words(f"{subject.prompt}\n{subject.negative_prompt}\n{subject.model}")
    dice = _Dice(f"composition {subject.seed}")
    horizon = dice.between(0.5, 0.68)
    scene = _draw_sky(palette, dice, size)
    _draw_stars(scene, _Dice(f"stars {subject.seed} {subject.settings}"), horizon)
    _draw_sun(scene, palette, dice, horizon)
    for layer in range(HILLS):
        _draw_hill(scene, palette, dice, horizon, layer)
    return scene


def _draw_sky(palette: _Palette, dice: _Dice, size: tuple[int, int]) -> Image.Image:
    """A mesh of a few colours, enlarged smoothly."""
    mesh = Image.new("RGB", (4, 6))
    for row in range(mesh.height):
        for column in range(mesh.width):
            height = min(1.0, max(0.0, row / (mesh.height - 2) + dice.between(-0.12, 0.12)))
            mesh.putpixel((column, row), _mix(palette.zenith, palette.horizon, height))
    return mesh.resize(size, Image.Resampling.BICUBIC)


def _draw_stars(scene: Image.Image, dice: _Dice, horizon: float) -> None:
    draw = ImageDraw.Draw(scene)
    for _ in range(40):
        x, y = dice.between(0, scene.width), dice.between(0, scene.height * horizon)
        radius = min(scene.size) * dice.between(0.0006, 0.0022)
        below = scene.getpixel((int(x), int(y)))
        if isinstance(below, tuple):
            star = _mix((below[0], below[1], below[2]), (255, 255, 255), dice.between(0.3, 0.8))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=star)


def _draw_sun(scene: Image.Image, palette: _Palette, dice: _Dice, horizon: float) -> None:
    side = min(scene.size)
    radius = side * dice.between(0.06, 0.13)
    x = scene.width * dice.between(0.2, 0.8)
    y = scene.height * dice.between(horizon - 0.32, horizon - 0.08)
    reach = max(1, round(radius * 5))
    glow = Image.radial_gradient("L").point(_glow).resize((2 * reach, 2 * reach), Image.Resampling.BILINEAR)
    corner = round(x) - reach, round(y) - reach
    scene.paste(palette.light, corner, glow)
    disc = Image.new("L", (4 * reach, 4 * reach))
    ImageDraw.Draw(disc).circle((2 * reach, 2 * reach), 2 * radius, fill=255)
    scene.paste(palette.light, corner, disc.reduce(2))


def _glow(distance: int) -> int:
    """Opacity at a distance: none at 180, which Pillow's radial gradient has in the middle of its edges."""
    return round(150 * max(0.0, 1 - distance / 180) ** 2)


def _draw_hill(scene: Image.Image, palette: _Palette, dice: _Dice, horizon: float, layer: int) -> None:
    """One ridge; far ones take the horizon's colour, near ones the ground's. Drawn twice as large: smooth edges."""
    near = (layer + 1) / HILLS
    width, height = scene.width * 2, scene.height * 2
    base = height * (horizon + (1 - horizon) * 0.85 * (near - 1 / HILLS))
    swing = height * (0.035 + 0.03 * dice.between(0, 1))
    waves = [(dice.between(0.5, 2.2) * 1.9**octave, dice.between(0, math.tau)) for octave in range(4)]
    step = max(2, width // 128)
    ridge = [(x, base - swing * _ridge(x / width, waves)) for x in range(0, width + step, step)]
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon([(0, height), *ridge, (width, height)], fill=255)
    scene.paste(_mix(palette.horizon, palette.ground, 0.25 + 0.75 * near), (0, 0), mask.reduce(2))


def _ridge(x: float, waves: list[tuple[float, float]]) -> float:
    """A sum of waves (speed, phase), each lower than the one before."""
    return sum(math.sin(math.tau * speed * x + phase) / 1.8**octave for octave, (speed, phase) in enumerate(waves))


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
