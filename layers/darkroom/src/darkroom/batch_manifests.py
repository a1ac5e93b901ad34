"""Reading manifests: rows of JSON Lines or CSV, each to a line of JSON, piece by piece.

A CSV's header names fields. Of a task's row, `content.steps` is a field of the content; a name that is no field of
a task is one of its content, too. Of a pipeline's row it names an input. A cell that is to be text stays text;
any other is what it reads as in JSON, and text where it is no JSON. An empty cell is an absent field.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from darkroom.batches import MAX_ROWS, Format
from darkroom.content import CONTENTS
from darkroom.documents import Document, InputType
from darkroom.errors import ManifestError
from darkroom.models import JsonObject
from darkroom.task_requests import TaskForm
from darkroom.tasks import TaskType

MAX_MANIFEST = 256 * 1024 * 1024
"""The largest manifest taken, in bytes: one function reads it within a minute or two."""

MAX_ROW = 1024 * 1024
"""The largest row taken, in bytes. Large images go as links."""

INDEX_HEADER = "row,start,length,fault"

_MARK = b"\xef\xbb\xbf"  # that a file is UTF-8, as spreadsheets write it
_OTHERS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "compressed",
    b"PK\x03\x04": "a ZIP or a spreadsheet",
}
_TEXTS = frozenset({"id", "runtime", "type", "prefix", "model", "priority"})
_MARK_LENGTH = 4  # the longest of them

Cells = Callable[[Mapping[str, str]], JsonObject]


class Row(NamedTuple):
    """A row's line of JSON; where there can be none, `fault` says why."""

    line: bytes
    fault: str = ""


class Place(NamedTuple):
    """Where a row lies in the file of rows, in bytes. `row` counts from 1."""

    row: int
    start: int
    length: int
    fault: str = ""

    def entry(self) -> str:
        """The row's line in an index. Step Functions reads it, so a fault must need no quotes."""
        fault = self.fault.replace(",", ";").replace('"', "'").replace("\n", " ")
        return f"{self.row},{self.start},{self.length},{fault}"

    @classmethod
    def read(cls, entry: str) -> "Place":
        """A line of an index."""
        row, start, length, fault = entry.split(",")
        return cls(int(row), int(start), int(length), fault)


@dataclass
class Sheet:
    """A manifest on its way to the file of rows. Once `pieces` are through, `places` say where each row lies."""

    rows: Iterable[Row]

    def __post_init__(self) -> None:
        self.places: list[Place] = []

    def pieces(self) -> Iterator[bytes]:
        """The lines of the file of rows.

        Raises:
            ManifestError: there are too many rows, or none.
        """
        start = 0
        for number, row in enumerate(self.rows, start=1):
            if number > MAX_ROWS:
                raise ManifestError(f"the manifest has more than {MAX_ROWS:,} rows")
            self.places.append(Place(number, start, len(row.line), row.fault))
            yield row.line + b"\n"
            start += len(row.line) + 1
        if not self.places:
            raise ManifestError("the manifest has no rows")


def read_rows(pieces: Iterable[bytes], format_: Format, cells: Cells) -> Iterator[Row]:
    """A manifest's rows; empty lines are none. `cells` makes a row of a CSV's cells.

    Raises:
        ManifestError: it is no text in UTF-8, or a CSV's header is no such thing.
    """
    lines = _split(pieces)
    return _read_lines(lines) if format_ == "jsonl" else _read_csv(lines, cells)


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends. Of one far too long only the beginning is kept, so that memory does not fill."""
    kept, first = b"", True
    for piece in pieces:
        data, kept = kept + piece, b""
        if first and len(data) >= _MARK_LENGTH:
            data, first = _start(data), False
        lines = data.split(b"\n")
        kept = lines.pop()[: 2 * MAX_ROW]
        yield from (line + b"\n" for line in lines)
    if kept:
        yield kept


def _start(data: bytes) -> bytes:
    """The beginning of a manifest without its mark.

    Raises:
        ManifestError: it is no text in UTF-8.
    """
    for mark, what in _OTHERS.items():
        if data.startswith(mark):
            raise ManifestError(f"the manifest is {what}; it must be text in UTF-8")
    return data.removeprefix(_MARK)


def _read_lines(lines: Iterable[bytes]) -> Iterator[Row]:
    for line in lines:
        text = line.strip()
        if len(text) > MAX_ROW:
            yield Row(b"", _too_long(len(text)))
        elif text:
            yield Row(text)


def _read_csv(lines: Iterable[bytes], cells: Cells) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
    # a byte that is no UTF-8 becomes half a character, which the reader of rows refuses by name
    reader = csv.reader((line.decode(errors="surrogateescape") for line in lines), strict=False)
    header = _header(next(_records(reader), None))
    for record in _records(reader):
        if isinstance(record, str):
            yield Row(b"", record)
        elif len(record) > len(header):
            yield Row(b"", f"has {len(record)} cells; the header names {len(header)}")
        else:
            named = {name: cell for name, cell in zip(header, record, strict=False) if cell}
            line = json.dumps(cells(named)).encode()
            yield Row(line) if len(line) <= MAX_ROW else Row(b"", _too_long(len(line)))


def _records(reader: Any) -> Iterator[list[str] | str]:  # noqa: ANN401  csv's reader has no type
    """The records that are not empty; of one that cannot be read, why."""
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"is no CSV: {error}"
            continue
        if any(cell.strip() for cell in record):
            yield record


def _header(record: list[str] | str | None) -> list[str]:
    if record is None:
        raise ManifestError("the manifest has no rows")
    names = [] if isinstance(record, str) else [name.strip() for name in record]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise ManifestError("the manifest's first line must name its columns, each of them")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ManifestError(f"the manifest names a column twice: {', '.join(sorted(twice))}")
    return names


def _too_long(length: int) -> str:
    return f"is {length} bytes long; at most {MAX_ROW} are taken"


def task_cells(type_: TaskType | None) -> Cells:
    """How cells become a task's row; `type_` is that of rows that name none."""

    def cells(named: Mapping[str, str]) -> JsonObject:
        asked = named.get("type")
        model = CONTENTS.get(TaskType(asked) if asked in set(TaskType) else type_ or TaskType.PIPELINE)
        texts = (
            {f"content.{name}" for name, it in model.model_fields.items() if it.annotation is str} if model else ()
        )
        row: JsonObject = {}
        for name, cell in named.items():
            path = name if name.partition(".")[0] in TaskForm.model_fields else f"content.{name}"
            _put(row, path.split("."), cell if path in _TEXTS or path in texts else _value(cell))
        return row

    return cells


def input_cells(document: Document) -> Cells:
    """How cells become the inputs of a pipeline."""
    texts = {name for name, it in document.inputs.items() if it.type in {InputType.STRING, InputType.IMAGE}}
    return lambda named: {name: cell if name in texts else _value(cell) for name, cell in named.items()}


def _put(row: JsonObject, path: list[str], value: object) -> None:
    """Put a value at a path. What stands in the way of it stays, for the reader of rows to find."""
    place: Any = row
    for name in path[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            return
    place.setdefault(path[-1], value)


def _value(cell: str) -> object:
    try:
        return json.loads(cell, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return cell


def _no_number(name: str) -> object:
    raise ValueError(name)
