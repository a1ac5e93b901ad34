"""Batches with everything in memory: requests, rows, ends, what is told."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from darkroom import tasks
from darkroom.batch_desk import BatchDesk
from darkroom.batch_events import BatchEvent, is_news
from darkroom.batch_files import BatchFiles
from darkroom.batch_notices import batch_notice
from darkroom.batch_plans import BatchPlans
from darkroom.batch_requests import BatchQuery
from darkroom.batch_rows import BatchRows, merged
from darkroom.batch_testing import InMemoryBatchStore, InMemoryRowFiles, RecordedExecutions
from darkroom.batches import Batch, BatchEnd, BatchKey, BatchStatus, Counts, RowStatus
from darkroom.errors import (
    BatchConflictError,
    BatchNotFoundError,
    BatchStateError,
    BatchStoppedError,
    InvalidRequestError,
    RowEndedError,
    RowFailedError,
)
from darkroom.models import JsonObject
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipeline_testing import InMemoryDefinitionStore, InMemoryPipelineStore
from darkroom.pipelines import End, PipelineKey, PipelineStatus
from darkroom.runtimes import Runtime, RuntimeType
from darkroom.submissions import Submissions
from darkroom.task_starts import TaskStarts
from darkroom.tasks import Task, TaskError, TaskKey
from darkroom.testing import InMemoryBlobStore, InMemoryRuntimeRegistry, InMemoryTaskStore

OWNER = "owner"
MANIFEST = "s3://bucket/uploads/owner/1/rows.jsonl"
TEXT = {"runtime": "sdruntime", "type": "text-to-image"}
DOCUMENT = {
    "inputs": {"prompt": {"type": "string"}, "steps": 4},
    "steps": [TEXT | {"id": "a", "content": {"prompt": "${inputs.prompt}", "steps": "${inputs.steps}"}}],
}


class Links:
    def to_get(self, link: str) -> str:
        return link.replace("s3://", "https://")


class World:
    def __init__(self) -> None:
        registry = InMemoryRuntimeRegistry({"sdruntime": Runtime(name="sdruntime", type=RuntimeType.SDWEBUI)})
        self.blobs, self.tasks, self.store = InMemoryBlobStore(), InMemoryTaskStore(), InMemoryBatchStore()
        self.executions, self.definitions = RecordedExecutions(), InMemoryDefinitionStore()
        self.pipelines = PipelineSubmissions(
            InMemoryPipelineStore(), PipelineFiles(self.blobs, self.tasks), registry, "bucket", self.definitions
        )
        files = BatchFiles(self.blobs, InMemoryRowFiles(self.blobs))
        self.rows = BatchRows(
            self.store,
            files,
            Submissions(self.tasks, self.blobs, registry, "bucket", timedelta(hours=1)),
            TaskStarts(self.tasks, self.blobs, "bucket"),
            self.pipelines,
            self.executions,
        )
        self.plans = BatchPlans(self.rows)
        links: Any = Links()
        self.desk = BatchDesk(self.store, files, self.pipelines, self.executions, links, frozenset({"inputs"}))

    def submit(self, now: datetime, *rows: JsonObject, **more: Any) -> Batch:
        self.blobs.files[MANIFEST] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        return self.desk.submit({"manifest": MANIFEST, "id": "b", **more}, OWNER, "x", now)

    def event(self, do: str, batch: Batch, row: int = 1, **more: Any) -> JsonObject:
        """What a state asks of a row."""
        entry = self.blobs.files[batch.index].decode().splitlines()[row].split(",")
        place = dict(zip(("row", "start", "length", "fault"), entry, strict=True))
        named = {"owner": batch.owner, "id": batch.id, "run": batch.run}
        return {"do": do, "batch": named, "row": place, "token": "t", **more}

    def plan(self, batch: Batch, now: datetime) -> JsonObject:
        named = {"owner": batch.owner, "id": batch.id, "run": batch.run}
        return self.plans.handle({"do": "plan", "batch": named}, now)

    def end(self, batch: Batch, now: datetime, **state: Any) -> JsonObject:
        named = {"owner": batch.owner, "id": batch.id, "run": batch.run}
        return self.plans.handle({"do": "end", "batch": named, "state": state}, now)

    def task(self, row: int = 1) -> Task:
        found = self.tasks.get(TaskKey(OWNER, f"b-{row}"))
        assert found is not None
        return found

    def succeed(self, now: datetime, row: int = 1) -> None:
        task = self.tasks.apply(self.task(row).key, tasks.claim(now, timedelta(minutes=1)))
        self.tasks.apply(
            task.key, tasks.succeed(now, task.attempt, images=("s3://b/1.png",), output_url=None, timings=None)
        )

    def now(self) -> Batch:
        found = self.store.get(BatchKey(OWNER, "b"))
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World()


ROW = TEXT | {"content": {"prompt": "a dog"}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"manifest": "https://x/rows.csv"}, "manifest", id="no s3 link"),
        pytest.param({"manifest": "s3://bucket/uploads/other/rows.csv"}, "manifest", id="another owner's"),
        pytest.param({"manifest": "s3://bucket/uploads/owner/../other/r.csv"}, "manifest", id="by a detour"),
        pytest.param({"manifest": "s3://bucket/output/rows.csv"}, "manifest", id="not uploaded"),
        pytest.param({"manifest": "s3://elsewhere/rows.csv"}, "manifest", id="another bucket"),
        pytest.param({"manifest": "s3://bucket/uploads/owner/1/none.csv"}, "manifest", id="not there"),
        pytest.param({"manifest": "s3://inputs/none.csv"}, "manifest", id="not there, in a bucket that may be"),
        pytest.param({"manifest": MANIFEST + ".txt"}, "format", id="a name that says nothing"),
        pytest.param({"id": "a" * 65}, "id", id="an id too long to call rows after it"),
        pytest.param({"max_concurrency": 1001}, "max_concurrency", id="too many at once"),
        pytest.param({"tolerated_failure_percentage": 101}, "tolerated_failure_percentage", id="no percentage"),
        pytest.param({"defaults": {"steps": 3}}, "defaults.steps", id="no field of a task"),
        pytest.param({"defaults": {"runtime": "typo"}}, "defaults.runtime", id="no such runtime"),
        pytest.param(
            {"defaults": {"content": {"init_images": ["s3://bucket/uploads/other/x.png"]}}},
            "defaults.content.init_images[0]",
            id="another owner's image",
        ),
        pytest.param(
            {"defaults": {"webhook": {"url": "http://10.0.0.1/"}}}, "defaults.webhook.url", id="a private address"
        ),
        pytest.param({"webhook": {"url": "https://127.1/"}}, "webhook.url", id="an address of this host"),
        pytest.param(
            {"webhook": {"url": "https://x.com", "events": ["task.failed"]}}, "webhook.events[0]", id="no end of it"
        ),
        pytest.param({"pipeline": DOCUMENT, "defaults": {}}, "defaults", id="defaults for a pipeline"),
        pytest.param({"pipeline": {"steps": []}}, "pipeline.steps", id="a wrong document"),
        pytest.param({"pipeline": "poster@x"}, "pipeline", id="no version"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(
    world: World, start: datetime, body: JsonObject, field: str
) -> None:
    manifest = str(body.get("manifest", MANIFEST))
    world.blobs.files |= {} if "none" in manifest else {manifest: b"{}\n"}

    with pytest.raises(InvalidRequestError) as error:
        world.desk.submit({"manifest": MANIFEST} | body, OWNER, "x", start)

    assert [it.field for it in error.value.fields] == [field]
    assert world.executions.started == []


def test_the_same_request_runs_once_and_another_under_its_name_is_a_conflict(world: World, start: datetime) -> None:
    first = world.submit(start, ROW)
    del world.blobs.files[MANIFEST]

    assert world.desk.submit({"manifest": MANIFEST, "id": "b"}, OWNER, "x", start + timedelta(hours=1)) == first
    with pytest.raises(BatchConflictError):
        world.submit(start, ROW, context={"other": True})
    assert set(world.executions.started) == {first.execution_name}


def test_a_batch_that_cannot_be_started_has_failed_and_can_be_retried(world: World, start: datetime) -> None:
    class Broken(RecordedExecutions):
        def start(self, batch: Batch) -> str:
            raise OSError(batch.id)

    broken = replace(world.desk, executions=Broken())
    world.blobs.files[MANIFEST] = b"{}\n"
    with pytest.raises(OSError, match="b"):
        broken.submit({"manifest": MANIFEST, "id": "b"}, OWNER, "x", start)

    failed = world.now()
    assert failed.error is not None
    assert (failed.status, failed.error.type) == ("failed", "not_started")
    assert world.desk.retry(failed, start).run == 2


def test_a_saved_pipeline_is_taken_as_it_is_now_and_its_inputs_are_under_the_rows(
    world: World, start: datetime
) -> None:
    world.definitions.save(OWNER, "poster", DOCUMENT, start)
    asked = {"definition": "poster", "inputs": {"steps": 9}}
    batch = world.submit(start, {"prompt": "a dog"}, {"prompt": "a cat", "steps": 2}, pipeline=asked)
    world.plan(batch, start)

    answers = [world.rows.handle(world.event("start_pipeline", batch, row), start) for row in (1, 2)]

    found = [world.pipelines.store.get(PipelineKey(OWNER, f"b-{row}")) for row in (1, 2)]
    inputs = [world.pipelines.files.load(it)[1] for it in found if it is not None]
    assert inputs == [{"prompt": "a dog", "steps": 9}, {"prompt": "a cat", "steps": 2}]
    assert (batch.definition, answers[0]["run"]) == ("poster@1", {"owner": OWNER, "id": "b-1", "run": 1})


@pytest.mark.parametrize(
    ("row", "defaults", "context", "whole"),
    [
        pytest.param(
            {"content": {"a": 1}}, {"content": {"a": 2, "b": 2}}, {}, {"content": {"a": 1, "b": 2}}, id="content"
        ),
        pytest.param({"type": "x"}, {"type": "y", "model": "m"}, {}, {"type": "x", "model": "m"}, id="the rest"),
        pytest.param(
            {"context": {"c": 3}},
            {"context": {"b": 2}},
            {"a": 1, "b": 1},
            {"context": {"a": 1, "b": 2, "c": 3}},
            id="context over context over context",
        ),
        pytest.param(
            {"context": 7}, {"context": {"b": 2}}, {"a": 1}, {"context": 7}, id="a context that is a value"
        ),
        pytest.param({"content": 7}, {"content": {"a": 1}}, {}, {"content": 7}, id="a content that is wrong"),
    ],
)
def test_defaults_are_under_a_row(row: JsonObject, defaults: JsonObject, context: Any, whole: JsonObject) -> None:
    assert merged(row, defaults, context) == {"context": context, **whole}


def test_a_repeated_start_changes_nothing_and_one_with_another_token_takes_over(
    world: World, start: datetime
) -> None:
    batch = world.submit(start, ROW)
    world.plan(batch, start)

    world.rows.handle(world.event("start_task", batch), start)
    first = world.task()
    world.rows.handle(world.event("start_task", batch), start + timedelta(seconds=1))
    assert world.task() == first
    world.rows.handle(world.event("start_task", batch, token="u"), start + timedelta(seconds=2))

    assert (first.task_token, world.task().task_token, world.task().status) == ("t", "u", "queued")


def test_a_row_that_has_succeeded_is_not_run_again_but_recorded(world: World, start: datetime) -> None:
    """As where an execution broke between the task's end and the row's."""
    batch = world.submit(start, ROW)
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)
    world.succeed(start)

    with pytest.raises(RowEndedError):
        world.rows.handle(world.event("start_task", batch, token="u"), start)
    failure = {"failure": {"Error": "RowEndedError", "Cause": ""}}
    assert world.rows.handle(world.event("end_task", batch, state=failure), start) == {"row": 1, "id": "b-1"}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        pytest.param({"content": {"prompt": "x"}}, "runtime", id="a field is missing"),
        pytest.param(ROW | {"runtime": "typo"}, "runtime", id="an unknown runtime"),
        pytest.param(
            ROW | {"type": "pipeline", "content": {"1": {}}}, "content.1.class_type", id="not of that type"
        ),
        pytest.param(ROW | {"id": "taken"}, "id", id="the id of another task"),
        pytest.param(ROW | {"id": "../x"}, "id", id="no id"),
        pytest.param(
            TEXT | {"type": "image-to-image", "content": {"init_images": ["s3://bucket/uploads/other/x"]}},
            "content.init_images[0]",
            id="another owner's file",
        ),
    ],
)
def test_a_wrong_row_fails_by_its_field(
    world: World, start: datetime, make_task: Any, row: JsonObject, field: str
) -> None:
    world.tasks.submit(make_task(owner=OWNER, id="taken"))
    batch = world.submit(start, row)
    world.plan(batch, start)

    with pytest.raises(RowFailedError):
        world.rows.handle(world.event("start_task", batch), start)
    with pytest.raises(RowFailedError, match=field.replace("[", r"\[")):
        world.rows.handle(world.event("end_task", batch), start)

    world.end(batch, start)
    (failure,) = world.now().failures
    assert (failure.id, next(it.field for it in failure.error.errors)) == (None, field)


def test_what_could_not_be_started_fails_with_the_state_s_reason(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW)
    world.plan(batch, start)
    failure = {"failure": {"Error": "Lambda.Unknown", "Cause": "out of memory"}}

    with pytest.raises(RowFailedError, match=r"not_started: Lambda\.Unknown: out of memory"):
        world.rows.handle(world.event("end_task", batch, state=failure), start)


def test_a_task_that_takes_too_long_is_cancelled_and_its_row_fails(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW)
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)

    with pytest.raises(RowFailedError, match="timeout"):
        world.rows.handle(world.event("end_task", batch, state={"failure": {"Error": "States.Timeout"}}), start)
    assert world.task().status == "cancelled"


def test_the_first_row_after_the_deadline_stops_the_batch(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW, ROW, deadline_seconds=60)
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)
    late = start + timedelta(seconds=61)
    assert world.task().expires_at == start + timedelta(seconds=60)

    with pytest.raises(BatchStoppedError):
        world.rows.handle(world.event("start_task", batch, 2), late)

    assert world.executions.stopped == [(batch.execution_name, "deadline")]
    detail = {"status": "ABORTED", "error": "deadline", "cause": ""}
    world.plans.on_execution(detail, {"batch": {"owner": OWNER, "id": "b", "run": 1}}, late)
    ended = world.now()
    assert ended.error is not None
    assert (ended.status, ended.error.type, ended.counts) == ("failed", "deadline", Counts(cancelled=1))
    assert world.task().status == "cancelled"


def test_a_cancelled_batch_starts_nothing_and_what_began_meanwhile_cancels_itself(
    world: World, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = world.submit(start, ROW, ROW)
    world.plan(batch, start)
    begin = world.tasks.submit

    def cancelled_meanwhile(task: Task, **more: Any) -> Task:
        found = begin(task, **more)
        world.desk.cancel(world.now(), start)
        return found

    monkeypatch.setattr(world.tasks, "submit", cancelled_meanwhile)
    with pytest.raises(BatchStoppedError):
        world.rows.handle(world.event("start_task", batch), start)
    with pytest.raises(BatchStoppedError):
        world.rows.handle(world.event("start_task", batch, 2), start)

    assert world.task().status == "cancelled"
    assert world.tasks.get(TaskKey(OWNER, "b-2")) is None


def test_a_cancel_may_be_repeated_and_ends_in_counts_and_results(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW, ROW, ROW)
    world.plan(batch, start)
    for row in (1, 2):
        world.rows.handle(world.event("start_task", batch, row), start)
    world.succeed(start, 1)

    world.desk.cancel(batch, start)
    again = world.desk.cancel(world.now(), start)
    with pytest.raises(BatchStateError, match="still being cancelled"):
        world.desk.retry(again, start)
    detail = {"status": "ABORTED"}
    for _ in range(2):
        world.plans.on_execution(detail, {"batch": {"owner": OWNER, "id": "b", "run": 1}}, start)

    assert [error for _, error in world.executions.stopped] == ["cancelled", "cancelled"]
    shown = world.desk.detail(world.now())
    assert shown.results is not None
    assert (shown.status, shown.progress.succeeded, shown.progress.cancelled, shown.progress.pending) == (
        "cancelled",
        1,
        1,
        1,
    )
    assert world.plans.settle(batch.key, start) is None
    assert len(world.blobs.files[shown.results.uri].splitlines()) == 2
    assert world.desk.cancel(world.now(), start).counts == Counts(succeeded=1, cancelled=1)
    assert len(world.executions.stopped) == 2


def test_a_stopped_batch_of_pipelines_cancels_those_that_run(world: World, start: datetime) -> None:
    batch = world.submit(start, {"prompt": "x"}, {"prompt": "y"}, pipeline=DOCUMENT)
    world.plan(batch, start)
    for row in (1, 2):
        world.rows.handle(world.event("start_pipeline", batch, row), start)
    world.pipelines.store.end(
        PipelineKey(OWNER, "b-2"), 1, End(start, PipelineStatus.SUCCEEDED, images=("s3://b/2",))
    )

    world.desk.cancel(batch, start)
    world.plans.settle(batch.key, start)

    statuses = [world.pipelines.store.get(PipelineKey(OWNER, f"b-{row}")) for row in (1, 2)]
    assert [it.status for it in statuses if it is not None] == ["cancelled", "succeeded"]
    assert world.now().counts == Counts(succeeded=1, cancelled=1)


def test_a_retry_leaves_out_what_has_succeeded_and_keeps_its_count(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW, ROW | {"runtime": "typo"})
    plan = world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)
    world.succeed(start)
    world.rows.handle(world.event("end_task", batch), start)
    with pytest.raises(RowFailedError):
        world.rows.handle(world.event("start_task", batch, 2), start)
    world.end(batch, start)

    again = world.desk.retry(world.now(), start)
    world.executions.progress = Counts(running=1)

    assert plan["index"].endswith("/index.csv")
    left = world.blobs.files[f"s3://bucket/{world.plan(again, start)['index']}"].decode().splitlines()
    assert [it.split(",")[0] for it in left] == ["row", "2"]
    progress = world.desk.detail(again).progress
    assert (progress.rows, progress.succeeded, progress.running, progress.pending) == (2, 1, 1, 0)


def test_only_the_owner_sees_a_batch_and_lists_go_page_by_page(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW)

    for owner, id_ in (("other", batch.id), (OWNER, "none"), (OWNER, "../b")):
        with pytest.raises(BatchNotFoundError):
            world.desk.get(owner, id_)
    page = world.desk.page(OWNER, BatchQuery(limit=1))
    assert ([it.id for it in page.items], page.next_cursor) == (["b"], batch.position.to_cursor())
    assert page.items[0].progress is None
    assert world.desk.page(OWNER, BatchQuery.model_validate({"limit": "1", "cursor": page.next_cursor})).items == ()


def test_a_start_is_told_at_once_and_an_end_once_nothing_goes_on(world: World, start: datetime) -> None:
    begun = world.submit(start, ROW)
    planned = begun.model_copy(update={"rows": 1})
    stopped = planned.model_copy(update=BatchEnd(start, BatchStatus.CANCELLED).values)
    settled = stopped.model_copy(update={"counts": Counts()})
    again = settled.model_copy(update={"status": BatchStatus.RUNNING, "run": 2, "counts": None})

    changes = [(None, begun), (begun, planned), (planned, stopped), (stopped, settled), (settled, settled)]
    assert [is_news(old, new) for old, new in [*changes, (settled, again)]] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert BatchEvent.of(settled).event_id == BatchEvent.of(settled).event_id
    assert len({BatchEvent.of(it).event_id for it in (begun, settled, again)}) == 3
    assert (BatchEvent.of(begun).results, BatchEvent.of(settled).results) == (None, begun.results_file)


def test_a_webhook_is_told_of_the_ends_that_it_wants(world: World, start: datetime) -> None:
    hook = {"url": "https://example.com/hook", "events": ["batch.failed", "batch.cancelled"]}
    begun = world.submit(start, ROW, webhook=hook)
    failed = begun.model_copy(update=BatchEnd(start, BatchStatus.FAILED, counts=Counts(failed=1)).values)
    succeeded = failed.model_copy(update={"status": BatchStatus.SUCCEEDED})
    silent = failed.model_copy(update={"webhook": None})

    assert [batch_notice(it, start) for it in (begun, succeeded, silent)] == [None] * 3
    notice = batch_notice(failed, start)
    assert notice is not None
    assert (notice.type, notice.url, notice.task) == ("batch.failed", "https://example.com/hook", "b")
    assert json.loads(notice.body)["data"]["counts"]["failed"] == 1
    assert "webhook" not in failed.public()


def test_rows_that_never_ended_and_a_broken_execution_leave_a_failed_batch(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW)
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)

    input_ = {"batch": {"owner": OWNER, "id": "b", "run": 1}}
    world.plans.on_execution({"status": "FAILED", "error": "States.Runtime", "cause": "x"}, input_, start)

    failed = world.now()
    assert failed.error is not None
    assert (failed.status, failed.error.type, failed.counts) == ("failed", "States.Runtime", Counts(cancelled=1))
    (row,) = world.store.rows(batch.key)
    assert (row.status, world.task().status) == (RowStatus.CANCELLED, "cancelled")


def test_a_batch_with_a_webhook_in_its_defaults_hands_it_to_every_task(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW, defaults={"webhook": {"url": "https://example.com/hook"}, "priority": "high"})
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)

    webhook = world.task().webhook
    assert webhook is not None
    assert (webhook.url, world.task().priority) == ("https://example.com/hook", "high")


def test_a_failure_that_is_not_the_task_s_own_is_kept_with_its_error(world: World, start: datetime) -> None:
    batch = world.submit(start, ROW)
    world.plan(batch, start)
    world.rows.handle(world.event("start_task", batch), start)
    task = world.tasks.apply(world.task().key, tasks.claim(start, timedelta(minutes=1)))
    error = TaskError(type="model_not_found", message="x" * 2000)
    world.tasks.apply(task.key, tasks.fail(start, task.attempt, error))
    with pytest.raises(RowFailedError):
        world.rows.handle(world.event("end_task", batch), start)

    world.end(batch, start)

    (failure,) = world.now().failures
    assert (failure.id, failure.error.type, len(failure.error.message)) == ("b-1", "model_not_found", 500)
