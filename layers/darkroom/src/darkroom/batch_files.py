"""The files of a batch: what was asked for, its rows with their index, and its results. Only links travel."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from pydantic import Field

from darkroom.batch_manifests import (
    INDEX_HEADER,
    MAX_MANIFEST,
    Place,
    Sheet,
    input_cells,
    read_rows,
    task_cells,
)
from darkroom.batch_ports import RowFiles
from darkroom.batch_requests import RowDefaults
from darkroom.batches import SHOWN_FAILURES, Batch, Counts, RowFailure, RowRecord, RowStatus
from darkroom.documents import Document
from darkroom.errors import ManifestError
from darkroom.models import JsonObject, Model
from darkroom.ports import BlobStore

_JSON, _LINES, _CSV = "application/json", "application/x-ndjson", "text/csv"
_REMEMBERED = 16


class Asked(Model):
    """What a batch was asked for: its rows are tasks, or inputs of the document."""

    defaults: JsonObject = Field(default_factory=dict)
    document: JsonObject | None = None


class Tally:
    """Counts rows as they pass, and keeps the first that failed."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(RowStatus, 0)
        self.failures: list[RowFailure] = []

    def watch(self, records: Iterable[RowRecord]) -> Iterator[RowRecord]:
        """The records, one by one."""
        for record in records:
            self._counts[record.status] += 1
            if record.status is RowStatus.FAILED and len(self.failures) < SHOWN_FAILURES:
                self.failures.append(RowFailure.of(record))
            yield record

    @property
    def counts(self) -> Counts:
        """What has passed."""
        return Counts(**{status.value: count for status, count in self._counts.items()})


@dataclass(frozen=True)
class BatchFiles:
    """Reads and writes them."""

    blobs: BlobStore
    rows: RowFiles
    _asked: dict[str, Asked] = field(default_factory=dict, repr=False)

    def save(self, batch: Batch, asked: Asked) -> None:
        """Keep what a batch was asked for."""
        self.blobs.put(batch.request, asked.model_dump_json().encode(), _JSON)

    def asked(self, batch: Batch) -> Asked:
        """What a batch was asked for. It never changes, so the last few are remembered."""
        if batch.request not in self._asked:
            while len(self._asked) >= _REMEMBERED:
                self._asked.pop(next(iter(self._asked)))
            self._asked[batch.request] = Asked.model_validate_json(self.blobs.get(batch.request))
        return self._asked[batch.request]

    def take_manifest(self, batch: Batch) -> int:
        """Write the file of rows and its index, and return how many rows there are.

        Raises:
            ManifestError: the manifest is gone, too large, has no rows or too many, or no header.
        """
        try:
            if self.rows.size(batch.manifest) > MAX_MANIFEST:
                raise ManifestError(f"the manifest is larger than {MAX_MANIFEST} bytes")
            asked = self.asked(batch)
            if asked.document is None:
                cells = task_cells(RowDefaults.model_validate(asked.defaults).type)
            else:
                cells = input_cells(Document.model_validate(asked.document))
            sheet = Sheet(read_rows(self.rows.read(batch.manifest), batch.format, cells))
            self.rows.write(batch.rows_file, sheet.pieces(), _LINES)
        except FileNotFoundError as error:
            raise ManifestError("the manifest cannot be read: it is gone") from error
        self._put_index(batch.index, sheet.places)
        return len(sheet.places)

    def index_run(self, batch: Batch, done: set[int]) -> tuple[str, int]:
        """Write the index of what the present run has to do, and return its link and how many rows it has."""
        if not done:
            return batch.index, batch.rows or 0
        entries = self.blobs.get(batch.index).decode().splitlines()[1:]
        left = [place for place in map(Place.read, entries) if place.row not in done]
        link = f"{batch.run_folder}/index.csv"
        self._put_index(link, left)
        return link, len(left)

    def _put_index(self, link: str, places: Iterable[Place]) -> None:
        lines = [INDEX_HEADER, *(place.entry() for place in places)]
        self.blobs.put(link, ("\n".join(lines) + "\n").encode(), _CSV)

    def row(self, batch: Batch, place: Place) -> bytes:
        """A row's line of JSON."""
        return self.rows.read_part(batch.rows_file, place.start, place.length)

    def put_results(self, batch: Batch, records: Iterable[RowRecord]) -> Tally:
        """Write a line for each row to the results, those of failed ones to the failures, and count them."""
        tally = Tally()
        failed: list[bytes] = []
        self.rows.write(batch.results_file, map(partial(_line, failed), tally.watch(records)), _LINES)
        self.rows.write(batch.failures_file, failed, _LINES)
        return tally


def _line(failed: list[bytes], record: RowRecord) -> bytes:
    line = record.line()
    if record.status is RowStatus.FAILED:
        failed.append(line)
    return line


def dump_defaults(defaults: RowDefaults | None) -> JsonObject:
    """Defaults without what was not given."""
    found: JsonObject = json.loads(defaults.model_dump_json(exclude_unset=True)) if defaults is not None else {}
    return found
