"""Outputs in the form that a task asks for."""

from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom.outputs import OutputOptions
from darkroom_agent import conversions
from darkroom_agent.conversions import Conversions, convert
from darkroom_agent.runtimes import Outputs

PROMPT = "A dog, émigré\nSteps: 20"


def picture(format_: str = "PNG", **options: object) -> bytes:
    """A noisy image with a prompt in it, as SD WebUI writes it."""
    image = Image.effect_noise((40, 30), 80).convert("RGB")
    if format_ == "PNG":
        info = PngInfo()
        info.add_text("parameters", PROMPT)
        options = {"pnginfo": info, **options}
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + PROMPT.encode("utf-16-be")
        options = {"exif": exif.tobytes(), "comment": PROMPT, **options}
    out = BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def animation(format_: str) -> bytes:
    out = BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(out, format_, save_all=True, append_images=frames[1:])
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
def test_images_become_what_was_asked_for_and_keep_their_prompt(source: str, format_: str) -> None:
    data, faults = convert(picture(source), OutputOptions(format=format_))
    image = opened(data)
    assert (format_.upper(), (40, 30), []) == (image.format, image.size, faults)
    assert PROMPT == conversions._texts(image)["parameters"]


def test_an_image_that_is_of_the_format_already_is_not_touched() -> None:
    data = picture("JPEG")
    assert (data, []) == convert(data, OutputOptions(format="jpeg", quality=10))


def test_quality_decides_how_large_a_jpeg_is() -> None:
    sizes = [len(convert(picture(), OutputOptions(format="jpeg", quality=q))[0]) for q in (20, 95)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("format_", [None, "webp"])
def test_no_prompt_is_left_where_none_is_wanted(source: str, format_: str | None) -> None:
    data, faults = convert(picture(source), OutputOptions(format=format_, strip_metadata=True))
    assert ([], {}) == (faults, conversions._texts(opened(data)))
    for encoding in ("utf-8", "utf-16-be"):
        assert "Steps".encode(encoding) not in data


@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP"])
def test_taking_out_a_prompt_changes_no_pixel(source: str) -> None:
    data = picture(source)
    stripped, _ = convert(data, OutputOptions(strip_metadata=True))
    assert opened(data).tobytes() == opened(stripped).tobytes()


def test_what_is_transparent_becomes_white_in_a_jpeg() -> None:
    out = BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(out, "PNG")
    data, _ = convert(out.getvalue(), OutputOptions(format="jpeg"))
    assert (255, 255, 255) == opened(data).getpixel((4, 4))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (animation("GIF"), "it is animated"),
        (animation("WEBP"), "it is animated"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(300), "video/mp4"),
        (picture()[:400], "cannot be read"),
        (b"no such thing", "no known kind"),
    ],
)
def test_what_cannot_be_converted_stays_as_it_is_and_says_so(data: bytes, reason: str) -> None:
    kept, (fault,) = convert(data, OutputOptions(format="jpeg"))
    assert data == kept
    assert reason in fault


def test_an_image_that_is_too_large_to_decode_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "MAX_PIXELS", 40 * 30 - 1)
    data = picture()
    kept, (fault,) = convert(data, OutputOptions(format="jpeg"))
    assert (data, "was not converted to jpeg: it has more than 1199 pixels") == (kept, fault)


def test_what_cannot_be_freed_of_its_prompt_says_so() -> None:
    data = animation("GIF")
    kept, (fault,) = convert(data, OutputOptions(strip_metadata=True))
    assert (data, "was not freed of its metadata: it is image/gif") == (kept, fault)


async def test_outputs_keep_their_order_and_warnings_name_them() -> None:
    made = Conversions()
    outputs = Outputs((picture(), animation("GIF")), {"info": 1}, ("the LoRA x is not there",))
    converted = await made.convert(outputs, OutputOptions(format="webp"))
    made.close()
    assert ["WEBP", "GIF"] == [opened(image).format for image in converted.images]
    assert (
        "the LoRA x is not there",
        "output 2 was not converted to webp: it is animated",
    ) == converted.warnings


async def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    made = Conversions()
    outputs = Outputs((b"x",), {})
    assert outputs is await made.convert(outputs, None)
    assert outputs is await made.convert(outputs, OutputOptions())
    made.close()
