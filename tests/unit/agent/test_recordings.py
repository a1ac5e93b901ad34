"""Telling whether videos and sounds are whole."""

import struct
import wave
from io import BytesIO

import pytest

from darkroom_agent.inputs import check_file
from darkroom_agent.pictures import PictureError

KINDS = frozenset({"image", "video", "audio"})
WEBM = b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + bytes(40)


def box(name: bytes, data: bytes = b"", *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, name, 16 + len(data)) + data
    return struct.pack(">I4s", 8 + len(data), name) + data


def mp4(brand: bytes = b"isom", *, long: bool = False) -> bytes:
    kind = box(b"ftyp", brand + bytes(4) + brand)
    return kind + box(b"moov", bytes(100)) + box(b"mdat", bytes(1000), long=long)


def wav() -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2000))
    return out.getvalue()


WHOLE = {
    "MP4": mp4(),
    "MP4 with a long box": mp4(long=True),
    "MOV": mp4(b"qt  "),
    "M4A": mp4(b"M4A "),
    "WAV": wav(),
}
ENDLESS = mp4()[:-1008] + b"\0\0\0\0mdat" + bytes(50)
STREAMED = wav()[:4] + b"\xff\xff\xff\xff" + wav()[8:500]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_recordings_are_taken(kind: str) -> None:
    check_file(WHOLE[kind], KINDS)
    check_file(bytearray(WHOLE[kind]) + b"\n", KINDS)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_off_recording_is_refused(kind: str, share: float) -> None:
    data = WHOLE[kind]
    with pytest.raises(PictureError, match="is cut off"):
        check_file(data[: int(len(data) * share)], KINDS)


def test_a_recording_cut_off_within_a_long_boxs_length_is_refused() -> None:
    with pytest.raises(PictureError, match="is cut off"):
        check_file(mp4(long=True)[:-1004], KINDS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ENDLESS, "its last box goes on to the end, wherever that is"),
        (STREAMED, "it went through a pipe, and nobody knew its length"),
        (WEBM, "it may end anywhere"),
    ],
)
def test_recordings_that_do_not_tell_their_length_are_taken(data: bytes, reason: str) -> None:
    check_file(data, KINDS)
    assert reason


def test_images_are_still_looked_at_where_recordings_are_taken() -> None:
    with pytest.raises(PictureError, match="no image"):
        check_file(mp4(), frozenset({"image"}))
    with pytest.raises(PictureError, match="cut off"):
        check_file(b"GIF89a\x01\0\x01\0\0\0\0", KINDS)
