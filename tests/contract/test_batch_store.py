"""One suite for every store of batches, and one for every kind of files of rows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.templates import template

from darkroom.aws.batch_store import DynamoBatchStore, header, read_batch_change
from darkroom.aws.multipart import PART
from darkroom.aws.row_files import S3RowFiles
from darkroom.batch_ports import BatchStore, RowFiles
from darkroom.batch_testing import InMemoryBatchStore, InMemoryRowFiles
from darkroom.batches import (
    Batch,
    BatchEnd,
    BatchKey,
    BatchStatus,
    Counts,
    RowError,
    RowFailure,
    RowRecord,
    RowStatus,
)
from darkroom.errors import BatchConflictError, BatchNotFoundError, BatchStateError
from darkroom.models import now
from darkroom.testing import InMemoryBlobStore

KEY = BatchKey("owner", "b")
LATER = now() + timedelta(days=1)


@pytest.fixture(scope="module")
def table(aws: Callable[..., Any]) -> DynamoBatchStore:
    """The table of pipelines as the template declares it."""
    declared = template("template")["Resources"]["PipelinesTable"]["Properties"]
    create = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}
    client, name = aws("dynamodb"), f"pipelines-{uuid4().hex}"
    client.create_table(TableName=name, **{key: declared[key] for key in create})
    return DynamoBatchStore(client, name)


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> BatchStore:
    memory = request.param == "memory"
    return InMemoryBatchStore() if memory else request.getfixturevalue("table")


@pytest.fixture
def batch() -> Batch:
    """A batch of an owner who has no other."""
    return made(owner=uuid4().hex[:8])


def made(**changes: Any) -> Batch:
    start = now()
    fields = {
        "owner": KEY.owner,
        "id": KEY.id,
        "fingerprint": "f",
        "folder": "s3://bucket/.batches/owner/b",
        "manifest": "s3://bucket/uploads/owner/x.csv",
        "format": "csv",
        "kind": "tasks",
        "results": "s3://bucket/batches/b",
        "created_at": start,
        "started_at": start,
        "expires_at": LATER,
        "max_concurrency": 10,
        "tolerated_failure_percentage": 100,
    }
    return Batch(**(fields | changes))


def record(row: int, status: RowStatus, run: int = 1) -> RowRecord:
    error = RowError(type="boom", message="it broke") if status is RowStatus.FAILED else None
    return RowRecord(row=row, run=run, status=status, id=f"b-{row}", error=error)


def failed(status: BatchStatus = BatchStatus.FAILED, counts: Counts | None = None) -> BatchEnd:
    return BatchEnd(now(), status, counts=counts)


def test_the_same_batch_again_is_the_one_that_is_there_and_another_is_a_conflict(
    store: BatchStore, batch: Batch
) -> None:
    assert store.create(batch) == batch
    assert store.create(batch.model_copy(update={"created_at": LATER})) == batch
    with pytest.raises(BatchConflictError):
        store.create(batch.model_copy(update={"fingerprint": "g"}))
    assert store.get(batch.key) == batch
    assert store.get(BatchKey(batch.owner, "other")) is None


def test_a_list_goes_from_the_newest_back_page_by_page_and_shows_ones_own_only(
    store: BatchStore, batch: Batch
) -> None:
    of_one_moment = [batch.model_copy(update={"id": name}) for name in ("a", "b", "c")]
    for one in [*of_one_moment, made(owner="other")]:
        store.create(one)
    store.put_row(batch, record(1, RowStatus.FAILED))

    first = store.page(batch.owner, 2)
    rest = store.page(batch.owner, 2, first[-1].position)

    assert [it.id for it in [*first, *rest]] == ["c", "b", "a"]


def test_a_run_ends_once_and_its_counts_are_written_once(store: BatchStore, batch: Batch) -> None:
    store.create(batch)

    assert store.set_rows(batch.key, 1, 7)
    assert not store.set_rows(batch.key, 2, 9)
    assert not store.settle(batch.key, 1, Counts(), ())
    assert store.end(batch.key, 1, failed(BatchStatus.CANCELLED))
    assert not store.end(batch.key, 1, failed())
    failure = RowFailure.of(record(3, RowStatus.FAILED))
    assert store.settle(batch.key, 1, Counts(failed=1), (failure,))
    assert not store.settle(batch.key, 1, Counts(), ())
    found = store.get(batch.key)
    assert found is not None
    assert (found.status, found.rows, found.counts) == ("cancelled", 7, Counts(failed=1))
    assert found.failures == (failure,)


def test_a_batch_begins_again_once_it_has_come_to_rest(store: BatchStore, batch: Batch) -> None:
    with pytest.raises(BatchNotFoundError):
        store.restart(batch.key, now(), LATER)
    store.create(batch)
    with pytest.raises(BatchStateError, match="running"):
        store.restart(batch.key, now(), LATER)
    store.end(batch.key, 1, failed())
    with pytest.raises(BatchStateError, match="still being cancelled"):
        store.restart(batch.key, now(), LATER)
    store.settle(batch.key, 1, Counts(succeeded=2), ())

    again = store.restart(batch.key, now(), LATER)

    assert (again.run, again.status, again.kept, again.counts) == (2, "running", 2, None)
    assert store.get(batch.key) == again
    assert not store.end(batch.key, 1, failed())
    assert store.end(batch.key, 2, BatchEnd(now(), BatchStatus.SUCCEEDED, counts=Counts(succeeded=3)))
    with pytest.raises(BatchStateError, match="succeeded"):
        store.restart(batch.key, now(), LATER)


def test_of_two_who_change_a_batch_at_once_one_is_refused(
    table: DynamoBatchStore, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.create(batch)
    assert table.end(batch.key, 1, failed(counts=Counts()))
    stale = table.get(batch.key)
    table.restart(batch.key, now(), LATER)

    monkeypatch.setattr(table, "get", lambda _: stale)
    with pytest.raises(BatchStateError, match="at the same time"):
        table.restart(batch.key, now(), LATER)
    monkeypatch.setattr(table, "get", lambda _: batch)
    assert not table.end(batch.key, 1, failed())


def test_rows_are_found_by_number_by_status_and_by_failure(store: BatchStore, batch: Batch) -> None:
    for number, status in ((10, RowStatus.RUNNING), (2, RowStatus.FAILED), (100, RowStatus.FAILED)):
        store.put_row(batch, record(number, status))
    store.put_row(batch, record(7, RowStatus.FAILED))
    store.put_row(batch, record(7, RowStatus.SUCCEEDED, run=2))
    store.put_row(batch, record(8, RowStatus.FAILED, run=2))

    assert [it.row for it in store.rows(batch.key)] == [2, 7, 8, 10, 100]
    assert [it.row for it in store.running(batch.key)] == [10]
    assert [it.row for it in store.failures(batch.key, 1, 5)] == [2, 100]
    assert [it.row for it in store.failures(batch.key, 1, 1)] == [2]
    assert [it.row for it in store.failures(batch.key, 2, 5)] == [8]
    assert store.row(batch.key, 7) == record(7, RowStatus.SUCCEEDED, run=2)
    assert store.row(batch.key, 1) is None


def test_the_stream_s_image_of_a_header_is_the_batch(batch: Batch) -> None:
    assert read_batch_change(header(batch)) == batch


@pytest.fixture(scope="module")
def bucket(aws: Callable[..., Any]) -> tuple[Any, str]:
    client, name = aws("s3"), f"rows-{uuid4().hex[:8]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client, name


@pytest.fixture(params=["memory", "s3"])
def files(request: pytest.FixtureRequest) -> tuple[RowFiles, str]:
    if request.param == "memory":
        return InMemoryRowFiles(InMemoryBlobStore()), "s3://bucket"
    client, name = request.getfixturevalue("bucket")
    return S3RowFiles(client), f"s3://{name}"


@pytest.mark.parametrize(
    "size", [pytest.param(0, id="empty"), pytest.param(10, id="small"), pytest.param(PART, id="in parts")]
)
def test_a_file_is_read_as_it_was_written(files: tuple[RowFiles, str], size: int) -> None:
    rows, folder = files
    link = f"{folder}/{size}.jsonl"
    pieces = [b"a" * size, b"b" * size, b"c"] if size else []

    rows.write(link, iter(pieces), "text/plain")

    assert rows.size(link) == sum(map(len, pieces))
    assert b"".join(rows.read(link)) == b"".join(pieces)
    assert rows.read_part(link, 0, 0) == b""
    if size:
        assert rows.read_part(link, size - 1, 2) == b"ab"


def test_a_file_that_is_not_there_is_missed(files: tuple[RowFiles, str]) -> None:
    rows, folder = files
    with pytest.raises(FileNotFoundError):
        rows.size(f"{folder}/none")
    with pytest.raises(FileNotFoundError):
        list(rows.read(f"{folder}/none"))


def test_a_file_whose_pieces_end_in_an_error_is_not_there(files: tuple[RowFiles, str]) -> None:
    rows, folder = files

    def broken() -> Any:
        yield b"a" * PART
        yield b"b" * PART
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        rows.write(f"{folder}/broken", broken(), "text/plain")
    with pytest.raises(FileNotFoundError):
        rows.size(f"{folder}/broken")
