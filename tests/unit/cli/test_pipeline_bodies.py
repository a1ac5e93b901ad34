"""What `darkroom pipelines run` asks for: a document with inputs, or a saved one."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom_cli.errors import UsageError
from darkroom_cli.pipeline_documents import body_of

INPUTS = {"prompt": {"type": "string"}, "scale": 2, "image": {"type": "image", "default": "x"}, "note": "none"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "poster.json"
    path.write_text(json.dumps({"inputs": INPUTS, "steps": []}))
    return path


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        pytest.param("prompt=a ship", "prompt", {"type": "string", "default": "a ship"}, id="a text"),
        pytest.param("prompt=42", "prompt", {"type": "string", "default": "42"}, id="a text of digits stays one"),
        pytest.param("scale=4", "scale", 4, id="a number"),
        pytest.param("note=true", "note", "true", id="a text where the default is one"),
        pytest.param("prompt=a=b", "prompt", {"type": "string", "default": "a=b"}, id="a sign inside"),
    ],
)
def test_inputs_take_the_place_of_defaults(file: Path, given: str, name: str, value: Any) -> None:
    assert body_of(file, None, [given])["inputs"] == INPUTS | {name: value}


def test_a_document_without_inputs_given_is_as_it_is(file: Path) -> None:
    assert body_of(file, None, []) == {"inputs": INPUTS, "steps": []}


def test_a_saved_one_is_named_with_or_without_its_version() -> None:
    assert body_of(None, "poster@2", ["scale=4", "prompt=a ship"]) == {
        "definition": "poster",
        "version": 2,
        "inputs": {"scale": 4, "prompt": "a ship"},
    }
    assert body_of(None, "poster", []) == {"definition": "poster", "inputs": {}}


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        pytest.param(None, ["typo=1"], "has no input 'typo'", id="an unknown input"),
        pytest.param(None, ["scale"], "no NAME=VALUE", id="no value"),
        pytest.param("poster", [], "either a file or", id="a file and a name"),
    ],
)
def test_what_makes_no_sense_is_said(file: Path, name: str | None, inputs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        body_of(file, name, inputs)


@pytest.mark.parametrize("name", ["poster@", "poster@latest"])
def test_a_version_is_a_number(name: str) -> None:
    with pytest.raises(UsageError, match="no version"):
        body_of(None, name, [])
