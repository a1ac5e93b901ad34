"""Outputs in the form that a task asks for."""

from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic_core import from_json

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
    for data, options in (
        (picture("JPEG"), OutputOptions(format="jpeg")),
        (picture("WEBP"), OutputOptions(format="webp")),
        (picture("PNG", compress_level=0), OutputOptions(format="png", quality=20)),  # it knows no quality
    ):
        assert (data, []) == convert(data, options)


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_an_image_of_the_format_is_encoded_again_for_another_quality(format_: str) -> None:
    data = picture(format_.upper(), quality=95)
    smaller, faults = convert(data, OutputOptions(format=format_, quality=20))
    assert data != convert(data, OutputOptions(format=format_, quality=90))[0]
    image = opened(smaller)
    assert (format_.upper(), []) == (image.format, faults)
    assert len(smaller) < len(data) * 0.6
    assert PROMPT == conversions._texts(image)["parameters"]


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
def test_a_quality_that_nobody_asked_for_does_not_cost_one_encoding(format_: str) -> None:
    data = picture(format_.upper())
    read = from_json(OutputOptions(format=format_).model_dump_json())  # as a task comes from the table
    assert (data, []) == convert(data, OutputOptions.model_validate(read))


def long_texts() -> bytes:
    """A ComfyUI image of a large workflow: 40,000 characters are 80,000 bytes of EXIF."""
    info = PngInfo()
    info.add_text("prompt", 20_000 * "p")
    info.add_text("workflow", 20_000 * "w")
    return picture(pnginfo=info)


def test_long_texts_stay_in_a_webp() -> None:
    data, faults = convert(long_texts(), OutputOptions(format="webp"))
    expected = f"prompt: {20_000 * 'p'}\nworkflow: {20_000 * 'w'}"
    assert (expected, []) == (conversions._texts(opened(data))["parameters"], faults)


def test_texts_that_are_too_long_for_a_jpeg_are_not_lost_without_a_word() -> None:
    data, faults = convert(long_texts(), OutputOptions(format="jpeg"))
    assert ("JPEG", ["lost its texts: they are too long for JPEG"]) == (opened(data).format, faults)
    assert [] == convert(long_texts(), OutputOptions(format="jpeg", strip_metadata=True))[1]


def test_the_longest_texts_that_a_jpeg_takes_stay() -> None:
    def convert_text(length: int) -> tuple[bytes, list[str]]:
        info = PngInfo()
        info.add_text("parameters", length * "p")
        return convert(picture(pnginfo=info), OutputOptions(format="jpeg"))

    longest = next(length for length in range(32_760, 32_700, -1) if not convert_text(length)[1])
    assert longest * "p" == conversions._texts(opened(convert_text(longest)[0]))["parameters"]
    assert ["lost its texts: they are too long for JPEG"] == convert_text(longest + 1)[1]


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_grey_of_16_bits_keeps_its_shades(format_: str, mode: str) -> None:
    greys = [0, 0x4040, 0x8080, 0xFFFF]
    image = Image.new(mode, (4 * 16, 16))
    for number, grey in enumerate(greys):
        image.paste(grey, (16 * number, 0, 16 * number + 16, 16))
    out = BytesIO()
    image.save(out, "PNG" if mode == "I;16" else "TIFF")
    data, _ = convert(out.getvalue(), OutputOptions(format=format_))
    found = [opened(data).convert("L").getpixel((16 * number + 8, 8)) for number in range(4)]
    assert [pytest.approx(grey / 257, abs=2) for grey in greys] == found


def profile(space: str) -> bytes:
    return 16 * b"\0" + space.encode() + bytes(200)


@pytest.mark.parametrize(
    ("mode", "space", "kept"),
    [
        ("RGB", "RGB ", {"png", "jpeg", "webp"}),
        ("CMYK", "CMYK", set()),
        ("L", "GRAY", {"png"}),  # the others have no grey here
    ],
)
@pytest.mark.parametrize("format_", ["png", "jpeg", "webp"])
def test_a_colour_profile_stays_where_it_fits(mode: str, space: str, kept: set[str], format_: str) -> None:
    out = BytesIO()
    Image.new(mode, (8, 8)).save(out, "TIFF", icc_profile=profile(space))
    data, faults = convert(out.getvalue(), OutputOptions(format=format_))
    expected = profile(space) if format_ in kept else None
    image = opened(data)
    assert (format_.upper(), expected, []) == (image.format, image.info.get("icc_profile"), faults)


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
