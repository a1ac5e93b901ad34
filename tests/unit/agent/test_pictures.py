"""Telling images by their bytes."""

import struct
from io import BytesIO

import pytest
from PIL import Image

from darkroom_agent.pictures import PictureError, check_picture, is_black

FORMATS = ["png", "jpeg", "gif", "bmp", "webp"]


def encode(format_: str, **options: object) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((40, 30), 50).convert("RGB").save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", FORMATS)
def test_images_of_every_kind_are_taken(format_: str) -> None:
    assert f"image/{format_}" == check_picture(encode(format_))


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}])
def test_every_kind_of_webp_is_taken(options: dict[str, object]) -> None:
    assert "image/webp" == check_picture(encode("WEBP", **options))


def test_a_progressive_jpeg_is_taken() -> None:
    assert "image/jpeg" == check_picture(encode("JPEG", progressive=True, optimize=True))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_off_image_is_refused(format_: str, share: float) -> None:
    data = encode(format_)
    with pytest.raises(PictureError):
        check_picture(data[: int(len(data) * share)])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (b"\n", "a line's end"),
        (bytes(5_000_000), "megabytes, as of a phone's motion photo"),
    ],
)
def test_what_stands_behind_a_whole_image_does_not_matter(format_: str, behind: bytes, reason: str) -> None:
    assert check_picture(encode(format_) + behind)
    assert reason


def test_the_end_of_a_small_image_within_a_jpeg_is_not_its_own() -> None:
    data = encode("JPEG", exif=b"Exif\0\0" + encode("JPEG"))
    assert check_picture(data)
    with pytest.raises(PictureError, match="cut off"):
        check_picture(data[:-2])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_bmp_needs_its_last_row(mode: str) -> None:
    out = BytesIO()
    Image.new(mode, (41, 30)).save(out, "BMP")
    assert check_picture(out.getvalue())
    with pytest.raises(PictureError, match="cut off"):
        check_picture(out.getvalue()[:-4])


def test_a_compressed_bmp_is_as_long_as_it_says() -> None:
    head = b"BM" + struct.pack("<I4xIIiiHHI", 100, 54, 40, 4000, -3000, 1, 8, 1)
    data = head.ljust(100, b"\0")
    assert check_picture(data)
    with pytest.raises(PictureError, match="cut off"):
        check_picture(data[:-1])


def test_a_bmp_with_the_header_of_os_2_is_measured() -> None:
    data = b"BM" + struct.pack("<I4xIIHHHH", 0, 26, 12, 8, 2, 1, 24) + bytes(48)
    assert (8, 2) == Image.open(BytesIO(data)).size
    assert check_picture(data)
    with pytest.raises(PictureError, match="cut off"):
        check_picture(data[:-1])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing"),
        (b"<html>not found</html>", "a page"),
        (b"%PDF-1.7 and more", "a document"),
        (b"PK\x03\x04" + bytes(100), "an archive"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match="no image"):
        check_picture(data)
    assert reason


@pytest.mark.parametrize("format_", FORMATS)
def test_only_an_image_without_any_light_is_black(format_: str) -> None:
    black, dark = Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64))
    dark.paste((0, 0, 9), (0, 0, 32, 32))
    for image, expected in ((black, True), (dark, False)):
        buffer = BytesIO()
        image.save(buffer, format_)
        assert expected is is_black(buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"no image", encode("PNG")[:60], encode("PNG")])
def test_what_is_no_black_image_is_not_black(data: bytes) -> None:
    assert not is_black(data)


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    data = bytearray(encode("PNG"))
    data[16:24] = (50_000).to_bytes(4) * 2
    with pytest.raises(PictureError, match="50000 x 50000"):
        check_picture(data)
