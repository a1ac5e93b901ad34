"""Pictures of a pipeline's graph: Mermaid, SVG and PNG. Layers go from left to right."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from darkroom.documents import Document, Step
from darkroom.graphs import layers, needs_of

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 170, 56, 70, 26, 20  # pixels
_FILL, _LINE, _TEXT, _FAINT = "#e8eef7", "#5b7a9d", "#1d2b3a", "#5f6f80"


@dataclass(frozen=True)
class Box:
    """A step's place in the picture, its left upper corner, in pixels."""

    step: Step
    x: int
    y: int

    @property
    def lines(self) -> tuple[str, str]:
        """What stands in it: the id, and what it is."""
        step = self.step
        marks = [
            mark for mark, there in ((" [n]", step.foreach is not None), (" ?", step.when is not None)) if there
        ]
        return step.id + "".join(marks), f"{step.type} · {step.runtime}"


def to_mermaid(document: Document) -> str:
    """The graph as Mermaid, which GitHub and many editors show."""
    lines = ["flowchart LR"]
    for step in document.steps:
        title, kind = Box(step, 0, 0).lines
        lines.append(f'  {step.id}["{escape(title)}<br/><small>{escape(kind)}</small>"]')
    for step in document.steps:
        lines += [f"  {name} --> {step.id}" for name in needs_of(step)]
    return "\n".join(lines) + "\n"


def to_svg(document: Document) -> str:
    """The graph as SVG."""
    boxes = list(_boxes(document))
    width, height = _size(boxes)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
        f"<title>{escape(document.name)}</title>",
    ]
    for start, end in _arrows(document, boxes):
        middle = (start[0] + end[0]) // 2
        curve = f"M{start[0]},{start[1]} C{middle},{start[1]} {middle},{end[1]} {end[0] - 6},{end[1]}"
        head = f"M{end[0] - 8},{end[1] - 4} L{end[0]},{end[1]} L{end[0] - 8},{end[1] + 4} Z"
        parts.append(f'<path d="{curve}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>')
        parts.append(f'<path d="{head}" fill="{_LINE}"/>')
    for box in boxes:
        title, kind = (escape(line) for line in box.lines)
        parts.append(
            f'<rect x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="{_FILL}" '
            f'stroke="{_LINE}"/>'
        )
        parts.append(f'<text x="{box.x + 12}" y="{box.y + 24}" font-size="14" fill="{_TEXT}">{title}</text>')
        parts.append(f'<text x="{box.x + 12}" y="{box.y + 43}" font-size="10" fill="{_FAINT}">{kind}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def to_png(document: Document) -> bytes:
    """The graph as PNG.

    Raises:
        ImportError: Pillow is not installed.
    """
    from PIL import Image, ImageDraw, ImageFont

    boxes = list(_boxes(document))
    image = Image.new("RGB", _size(boxes), "white")
    draw = ImageDraw.Draw(image)
    for start, end in _arrows(document, boxes):
        draw.line((start, end), fill=_LINE, width=2)
        draw.polygon([(end[0] - 8, end[1] - 4), end, (end[0] - 8, end[1] + 4)], fill=_LINE)
    for box in boxes:
        corner = (box.x + _WIDTH, box.y + _HEIGHT)
        draw.rounded_rectangle(((box.x, box.y), corner), 8, fill=_FILL, outline=_LINE)
        title, kind = box.lines
        draw.text((box.x + 12, box.y + 12), title, fill=_TEXT, font=ImageFont.load_default(14))
        draw.text((box.x + 12, box.y + 34), kind, fill=_FAINT, font=ImageFont.load_default(10))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _boxes(document: Document) -> Iterator[Box]:
    for column, layer in enumerate(layers(document)):
        for row, step in enumerate(layer):
            yield Box(step, _MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))


def _size(boxes: list[Box]) -> tuple[int, int]:
    return (
        max(box.x for box in boxes) + _WIDTH + _MARGIN,
        max(box.y for box in boxes) + _HEIGHT + _MARGIN,
    )


def _arrows(document: Document, boxes: list[Box]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    places = {box.step.id: box for box in boxes}
    for step in document.steps:
        for name in needs_of(step):
            start, end = places[name], places[step.id]
            yield (start.x + _WIDTH, start.y + _HEIGHT // 2), (end.x, end.y + _HEIGHT // 2)
