"""Pictures of pipelines, by the command that draws them."""

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from darkroom.documents import read_document
from darkroom.inspections import check_document
from darkroom.runtimes import Runtime, RuntimeType
from darkroom_cli.main import app

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples" / "pipelines").glob("*.json"))
PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
RUNTIMES = {
    "sdruntime": Runtime(name="sdruntime", type=RuntimeType.SDWEBUI, dynamic_model=True),
    "comfy": Runtime(name="comfy", type=RuntimeType.COMFYUI),
}


def graph(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["pipelines", "graph", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_its_picture_is_what_the_command_draws(path: Path, tmp_path: Path) -> None:
    check_document(read_document(json.loads(path.read_text())), RUNTIMES)

    graph(str(path), "-o", str(tmp_path / "x.svg"))

    assert (tmp_path / "x.svg").read_text() == (PICTURES / f"{path.stem}.svg").read_text()


def test_mermaid_goes_to_stdout() -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "draft-then-upscale"]

    assert graph(str(path)).splitlines() == [
        "flowchart LR",
        '  draft["draft<br/><small>text-to-image · sdruntime</small>"]',
        '  upscale["upscale<br/><small>extra-single-image · sdruntime</small>"]',
        "  draft --> upscale",
    ]


@pytest.mark.parametrize("suffix", ["svg", "png", "mmd"])
def test_a_picture_is_of_the_kind_that_its_name_says(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x.{suffix}"
    graph(str(EXAMPLES[0]), "-o", str(out))

    match suffix:
        case "svg":
            assert ET.parse(out).getroot().tag.endswith("svg")  # noqa: S314  ours
        case "png":
            assert Image.open(io.BytesIO(out.read_bytes())).format == "PNG"
        case _:
            assert out.read_text().startswith("flowchart")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{"id": "a", "needs": ["a"]}], id="a cycle"),
        pytest.param([{"id": "a", "needs": ["b"]}], id="an unknown step"),
        pytest.param([{"id": "a", "when": "="}], id="no condition"),
        pytest.param([], id="no steps"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, steps: list[dict[str, object]]) -> None:
    known = {"runtime": "r", "type": "text-to-image", "content": {"prompt": "x"}}
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"steps": [known | step for step in steps]}))

    assert CliRunner().invoke(app, ["pipelines", "graph", str(path)]).exit_code == 2
