"""Manifests: rows of JSON Lines and CSV, right and wrong."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from darkroom.batch_manifests import MAX_ROW, Place, Row, Sheet, input_cells, read_rows, task_cells
from darkroom.documents import read_document
from darkroom.errors import ManifestError
from darkroom.task_requests import read_form
from darkroom.tasks import TaskType

cells = task_cells(TaskType.TEXT_TO_IMAGE)


def pieces(data: bytes, size: int = 3) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def values(text: str) -> list[object]:
    return [json.loads(row.line) for row in read_rows(pieces(text.encode()), "csv", cells)]


def test_lines_are_rows_as_they_are_and_empty_ones_are_none() -> None:
    rows = list(read_rows(pieces(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": \n{"c": 3}'), "jsonl", cells))

    assert rows == [Row(b'{"a": 1}'), Row(b'{"b":'), Row(b'{"c": 3}')]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        pytest.param("prompt,steps\na dog,16\n", {"content": {"prompt": "a dog", "steps": 16}}, id="content"),
        pytest.param("PK\n1\n", {"content": {"PK": 1}}, id="a column called as a ZIP begins"),
        pytest.param("prompt\n1984\n", {"content": {"prompt": "1984"}}, id="a text stays text"),
        pytest.param("id,content.seed\n007,7\n", {"id": "007", "content": {"seed": 7}}, id="an id is text"),
        pytest.param("prompt,cfg_scale\n,7.5\n", {"content": {"cfg_scale": 7.5}}, id="an empty cell is absent"),
        pytest.param('x\n"a, ""b""\nc"\n', {"content": {"x": 'a, "b"\nc'}}, id="quotes and lines in a cell"),
        pytest.param(
            'context,output\n"{""a"": 1}","{""format"": ""png""}"\n',
            {"context": {"a": 1}, "output": {"format": "png"}},
            id="JSON in a cell",
        ),
        pytest.param("context.order\n17\n", {"context": {"order": 17}}, id="a field of the context"),
        pytest.param(
            "tiling,x\ntrue,NaN\n", {"content": {"tiling": True, "x": "NaN"}}, id="what is no JSON is text"
        ),
        pytest.param(
            "type,image,model\ninterrogate,s3://b/k,deepdanbooru\n",
            {"type": "interrogate", "content": {"image": "s3://b/k"}, "model": "deepdanbooru"},
            id="another type",
        ),
        pytest.param(
            "content,content.steps\nx,3\n",
            {"content": "x"},
            id="a field of what is no object is left for the reader",
        ),
    ],
)
def test_a_row_of_cells_is_a_task(text: str, row: object) -> None:
    assert values(text) == [row]


def test_cells_become_inputs_of_their_declared_types() -> None:
    document = read_document(
        {
            "inputs": {"prompt": {"type": "string"}, "scale": 2, "image": {"type": "image"}},
            "steps": [{"id": "a", "runtime": "r", "type": "text-to-image", "content": {"prompt": "x"}}],
        }
    )

    (row,) = read_rows([b"prompt,scale,image,other\n12,4,https://x,[1]\n"], "csv", input_cells(document))

    assert json.loads(row.line) == {"prompt": "12", "scale": 4, "image": "https://x", "other": [1]}


def test_what_is_wrong_with_one_row_is_that_row_s_fault() -> None:
    long = b"x" * (MAX_ROW + 1)
    lines = list(read_rows(pieces(b'{"a":1}\n' + long + b'\n{"b":2}\n', 4096), "jsonl", cells))
    table = list(read_rows([b"a,b\n1,2,3\n4\n" + long + b"\n5,6\n"], "csv", cells))

    assert [row.fault for row in lines] == ["", f"is {MAX_ROW + 1} bytes long; at most {MAX_ROW} are taken", ""]
    assert [bool(row.fault) for row in table] == [True, False, True, False]
    assert table[0].fault == "has 3 cells; the header names 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "has no rows", id="nothing"),
        pytest.param(b"a,b\n", "has no rows", id="a header alone"),
        pytest.param(b"a,,b\n1,2,3\n", "must name its columns", id="a column without a name"),
        pytest.param(b"a,b,a\n1,2,3\n", "names a column twice: a", id="a column twice"),
        pytest.param("prompt\na dog\n".encode("utf-16"), "is UTF-16", id="as some spreadsheets write it"),
        pytest.param(gzip.compress(b"prompt\n"), "is compressed", id="compressed"),
        pytest.param(b"PK\x03\x04", "is a ZIP or a spreadsheet", id="a spreadsheet itself"),
    ],
)
def test_a_manifest_without_a_header_or_rows_is_none(text: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        list(Sheet(read_rows([text], "csv", cells)).pieces())


def test_places_say_where_rows_lie_and_survive_the_index() -> None:
    sheet = Sheet([Row(b'{"a": 1}'), Row(b"", 'has 3 cells, "x"'), Row('{"b": "ü"}'.encode())])

    data = b"".join(sheet.pieces())

    read = [Place.read(place.entry()) for place in sheet.places]
    assert [data[it.start : it.start + it.length] for it in read] == [b'{"a": 1}', b"", '{"b": "ü"}'.encode()]
    assert [it.row for it in read] == [1, 2, 3]
    assert read[1].fault == "has 3 cells; 'x'"


def test_a_manifest_of_more_rows_than_may_be_is_refused_without_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.batch_manifests.MAX_ROWS", 3)

    def endless() -> Iterable[bytes]:
        while True:
            yield b"{}\n"

    with pytest.raises(ManifestError, match="more than 3 rows"):
        list(Sheet(read_rows(endless(), "jsonl", cells)).pieces())


def test_the_examples_of_the_documentation_are_manifests() -> None:
    folder = Path(__file__).parents[2] / "docs" / "examples" / "batches"
    page = (folder.parents[1] / "batches.md").read_text()
    csv, lines = (folder / "prompts.csv").read_bytes(), (folder / "inputs.jsonl").read_bytes()

    tasks = [json.loads(row.line) for row in read_rows([csv], "csv", cells)]
    forms = [read_form({"runtime": "r", "type": "text-to-image"} | row, "x") for row in tasks]

    assert csv.decode() in page
    assert [form.id for form in forms] == ["lighthouse", "ship", "1984"]
    assert (forms[2].content, forms[2].context) == (
        {"prompt": "1984", "width": 512, "height": 512, "seed": 3},
        {"order": 18},
    )
    assert [row.fault for row in read_rows([lines], "jsonl", cells)] == [""] * 3
