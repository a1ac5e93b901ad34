"""What an image's frames come to, told by its headers."""

import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom_agent.frames import measure
from darkroom_agent.pictures import MAX_PIXELS, PictureError, check_picture, is_black

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def animation(format_: str, **options: object) -> bytes:
    made = [Image.effect_noise((40, 30), 50).convert("RGB") for _ in range(3)]
    out = BytesIO()
    made[0].save(out, format_, save_all=True, append_images=made[1:], **options)
    return out.getvalue()


def gif(screen: tuple[int, int], *frames: tuple[int, int, int, int], between: bytes = b"") -> bytes:
    """A GIF with palettes wherever there can be one, of frames at a place and of a size, without their pixels."""
    flags, palette = 0x81, 3 * 4 * b"\x2c"  # of commas, which introduce a frame elsewhere
    head = b"GIF89a" + struct.pack("<HHB2x", *screen, flags) + palette
    image = palette + b"\x02" + b"\x03,;!" + b"\x01;" + b"\0"
    made = [b"!\xf9\x04,,,,\0" + between + b"," + struct.pack("<HHHHB", *frame, flags) + image for frame in frames]
    return head + b"".join(made) + b";"


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, size: tuple[int, int] = (1000, 1000)) -> bytes:
    head = chunk(b"IHDR", struct.pack(">II5x", *size))
    return PNG_HEAD + head + b"".join(chunks) + chunk(b"IEND")


def webp(canvas: tuple[int, int], frames: int) -> bytes:
    sides = b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    frame = bytes(6) + sides + bytes(5)  # of an odd length: a byte is added
    body += frames * (b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0")
    return b"RIFF" + struct.pack("<I", len(body)) + body


TEXT = chunk(b"tEXt", b"prompt\0" + 20_000 * b"a")
CONTROL, COUNT, PIXELS = chunk(b"fcTL", bytes(26)), chunk(b"acTL", struct.pack(">II", 90, 0)), chunk(b"IDAT")


@pytest.mark.parametrize(("format_", "mime"), [("PNG", "image/apng"), ("GIF", "image/gif"), ("WEBP", "image/webp")])
def test_animated_images_are_taken_and_their_frames_counted(format_: str, mime: str) -> None:
    data = animation(format_)
    assert mime == check_picture(data)
    shape = measure(data, mime)
    assert (40, 30, 3 * 40 * 30, 3, True) == (
        shape.width,
        shape.height,
        shape.pixels,
        shape.frames,
        shape.whole,
    )


@pytest.mark.parametrize("options", [{"default_image": True}, {"default_image": False}])
def test_pillow_sees_as_many_frames_of_a_png(options: dict[str, object]) -> None:
    data = animation("PNG", **options)
    seen: Any = Image.open(BytesIO(data))
    assert seen.n_frames == measure(data, "image/png").frames


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gif((1, 1), (0, 0, 20_000, 20_000)), "20000 x 20000 pixels"),  # the screen says nothing
        (gif((1, 1), (60_000, 60_000, 1, 1)), "60001 x 60001 pixels"),  # Pillow makes room for what lies outside
        (gif((8000, 8000), *(200 * [(0, 0, 1, 1)])), "200 frames of 8000 x 8000 pixels"),
        (gif((8000, 8000), (0, 0, 1, 1), (0, 0, 1, 1), between=b"\0\0"), "2 frames of 8000 x 8000"),
        (webp((8000, 8000), 200), "200 frames of 8000 x 8000 pixels"),
        (png(COUNT, CONTROL, PIXELS), "90 frames of 1000 x 1000 pixels"),
        (png(TEXT, COUNT, CONTROL, PIXELS), "90 frames of 1000 x 1000 pixels"),  # further than `filetype` sees
        (png(COUNT, PIXELS, CONTROL), "91 frames of 1000 x 1000 pixels"),  # the image itself is none of them
        (png(*(90 * [CONTROL]), PIXELS), "90 frames of 1000 x 1000 pixels"),  # more than it tells of
        (PNG_HEAD + chunk(b"abCd", bytes(8)) + png(PIXELS, size=(10_000, 10_000))[8:], "10000 x 10000 pixels"),
    ],
)
def test_images_whose_frames_need_too_much_memory_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(PictureError) as caught:
        check_picture(data)
    assert f"has {told}" in str(caught.value)
    assert f"at most {MAX_PIXELS} pixels are taken" in str(caught.value)


@pytest.mark.parametrize("data", [gif((8000, 8000), (0, 0, 1, 1)), webp((8000, 8000), 1), png(TEXT, PIXELS)])
def test_one_large_frame_is_taken(data: bytes) -> None:
    assert check_picture(data)


def test_frames_of_different_sizes_count_by_what_is_held_for_each() -> None:
    shape = measure(gif((10, 10), (0, 0, 5, 5), (0, 0, 20, 5), (0, 0, 1, 1)), "image/gif")
    assert (20, 10, 10 * 10 + 2 * 20 * 10, 3) == (shape.width, shape.height, shape.pixels, shape.frames)


@pytest.mark.parametrize("format_", ["TIFF", "AVIF", "ICO"])
def test_kinds_that_runtimes_need_not_read_are_refused(format_: str) -> None:
    out = BytesIO()
    Image.new("RGB", (40, 30)).save(out, format_)
    with pytest.raises(PictureError, match="no image that can be used"):
        check_picture(out.getvalue())


def test_an_animation_that_begins_black_is_not_black() -> None:
    out = BytesIO()
    black, white = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "white")
    black.save(out, "PNG", save_all=True, append_images=[white])
    assert not is_black(out.getvalue())


def test_texts_do_not_hide_the_frames_of_a_png() -> None:
    info = PngInfo()
    info.add_text("prompt", 20_000 * "a")
    data = animation("PNG", pnginfo=info)
    assert ("image/png", 3) == (check_picture(data), measure(data, "image/png").frames)
