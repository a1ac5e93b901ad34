"""What is taken out of files with their texts, and what is not."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from darkroom_agent.metadata import strip

SECRET = b"a prompt that nobody should see"
KEPT = [b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"hIST", b"sPLT"]


def png(*names: bytes, frames: int = 1) -> bytes:
    info = PngInfo()
    for name in names:
        info.add(name, SECRET, after_idat=name == b"comf")
    made = [Image.effect_noise((40, 30), 50 + n).convert("RGB") for n in range(frames)]
    out = BytesIO()
    made[0].save(out, "PNG", save_all=frames > 1, append_images=made[1:], pnginfo=info)
    return out.getvalue()


@pytest.mark.parametrize("name", [b"comf", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"caBX", b"prMP"])
@pytest.mark.parametrize("frames", [1, 3])
def test_no_chunk_that_an_image_can_do_without_is_left(name: bytes, frames: int) -> None:
    data = png(frames=frames)
    marked = data[:33] + len(SECRET).to_bytes(4) + name + SECRET + bytes(4) + data[33:]
    assert data == strip(marked, "image/png")


def test_the_prompts_of_comfyuis_animations_are_taken_out() -> None:
    data = png(b"comf", frames=3)
    assert SECRET in data
    stripped = strip(data, "image/apng")
    assert SECRET not in stripped
    seen: Any = Image.open(BytesIO(stripped))
    assert 3 == seen.n_frames


@pytest.mark.parametrize("name", KEPT)
def test_what_an_image_looks_like_stays(name: bytes) -> None:
    data = png()
    marked = data[:33] + b"\0\0\0\x04" + name + bytes(8) + data[33:]
    assert marked == strip(marked, "image/png")


def test_transparency_palette_and_profile_stay() -> None:
    out = BytesIO()
    Image.new("P", (8, 8)).save(out, "PNG", transparency=0, icc_profile=b"a profile")
    stripped = strip(out.getvalue(), "image/png")
    assert out.getvalue() == stripped
    for name in (b"PLTE", b"tRNS", b"iCCP"):
        assert name in stripped


@pytest.mark.parametrize("behind", [SECRET, b"\n", b"\0\0\0\x1fIDAT" + SECRET + bytes(4)])
def test_what_stands_behind_a_pngs_end_goes(behind: bytes) -> None:
    data = png()
    assert data == strip(data + behind, "image/png")
