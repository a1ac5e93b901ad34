"""The demo, as a new user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from tests.e2e.users import ROOT


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.e2e
def test_the_demo_shows_that_nothing_is_missing_and_leaves_the_images(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("darkroom")), "demo", "--output", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)  # noqa: S603  our own

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Everything is as it must be" in done.stdout
    assert "TaskFailed" in done.stdout
    sizes = {path.name.rsplit("-", 2)[0]: size(path) for path in tmp_path.glob("*.png")}
    square = dict.fromkeys(("test-t2i", "test-i2i", "test-i2i-s3", "test-t2i-v1"), (512, 512))
    assert square | {"test-extra": (1024, 1024)} == {name: sizes.get(name) for name in (*square, "test-extra")}
    images = {path.name.rsplit("-", 3)[0]: path for path in tmp_path.glob("demo-*.png")}
    draft, graph = (images[f"demo-webui-then-comfyui-{step}-0"] for step in ("draft", "graph"))
    with Image.open(draft) as before, Image.open(graph) as after:
        assert (256, 256) == after.size
        assert ImageChops.invert(before.convert("RGB")).tobytes() == after.convert("RGB").tobytes()
    steps = {name.removeprefix("demo-") for name in images}
    assert {f"four-variations-{step}-{item}" for step in ("variations", "upscale") for item in range(4)} <= steps
    assert {"draft-then-upscale-upscale-0", "retry-then-continue-plain-0"} <= steps
