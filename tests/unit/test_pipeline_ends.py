"""What follows a pipeline's end, its words to the world, and the heartbeats of its tasks."""

from datetime import timedelta
from typing import Any

import pytest
from tests.pipelines.bench import World

from darkroom.errors import InvalidRequestError
from darkroom.heartbeats import beat_all
from darkroom.models import now
from darkroom.pipeline_desk import PipelineDesk
from darkroom.pipeline_ends import PipelineEnds
from darkroom.pipeline_events import PipelineEvent, StepEvent, is_news
from darkroom.pipeline_notices import pipeline_notice
from darkroom.pipeline_states import ticket
from darkroom.pipelines import End, Pipeline, PipelineStatus, StepRecord, StepStatus
from darkroom.tasks import Task, TaskStatus
from darkroom.testing import InMemoryTaskStore

STEP = {"id": "a", "runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "a dog", "steps": 4}}


class NoExecutions:
    """An `Executions` that remembers, or refuses."""

    def __init__(self, *, broken: bool = False) -> None:
        self.started: list[tuple[str, int]] = []
        self._broken = broken

    def start(self, pipeline: Pipeline) -> str:
        if self._broken:
            raise RuntimeError("throttled")
        self.started.append((pipeline.id, pipeline.run))
        return "arn"


def running(world: World, **more: Any) -> tuple[Pipeline, Task]:
    """A pipeline with one task under way."""
    pipeline = world.states.submissions.submit({"steps": [STEP], **more}, "owner", now(), "p")
    payload = {
        "pipeline": {"owner": "owner", "id": "p", "run": 1},
        "step": "a",
        "index": 0,
        "attempt": 1,
        "token": "t",
    }
    return pipeline, world.states.tasks.start(ticket(payload), now())


def ends_of(world: World) -> PipelineEnds:
    return PipelineEnds(world.store, world.states.tasks.starts)


def ended(world: World, pipeline: Pipeline) -> Pipeline:
    found = world.store.get(pipeline.key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        pytest.param("ABORTED", PipelineStatus.CANCELLED, id="stopped"),
        pytest.param("TIMED_OUT", PipelineStatus.FAILED, id="out of time"),
        pytest.param("FAILED", PipelineStatus.FAILED, id="broken"),
    ],
)
def test_an_execution_that_does_not_end_by_itself_ends_its_pipeline_and_its_tasks(
    status: str, ends: PipelineStatus
) -> None:
    world = World()
    pipeline, task = running(world)
    input_ = '{"pipeline": {"owner": "owner", "id": "p", "run": 1}}'
    detail = {"status": status, "name": "x", "input": input_, "error": None, "cause": None}

    assert ends_of(world).on_execution(detail, now()) == pipeline.key
    assert ends_of(world).on_execution(detail, now()) is None
    cancelled = ends_of(world).clear(ended(world, pipeline), now())

    assert ended(world, pipeline).status is ends
    assert [it.id for it in cancelled] == [task.id]
    assert world.store.steps(pipeline.key)["a"].status is StepStatus.CANCELLED


def test_the_end_of_an_earlier_run_does_not_end_a_later_one() -> None:
    world = World()
    pipeline, _ = running(world)
    world.store.end(pipeline.key, 1, End(now(), PipelineStatus.FAILED))
    world.store.restart(pipeline.key, now(), pipeline.expires_at)
    input_ = '{"pipeline": {"owner": "owner", "id": "p", "run": 1}}'

    assert ends_of(world).on_execution({"status": "ABORTED", "name": "x", "input": input_}, now()) is None


def test_a_task_of_an_earlier_run_is_cancelled_when_another_takes_its_place() -> None:
    """A retry may come before what the failed run left is cleared."""
    world = World()
    pipeline, task = running(world)
    world.store.end(pipeline.key, 1, End(now(), PipelineStatus.FAILED))
    world.store.restart(pipeline.key, now(), pipeline.expires_at)
    run = {"owner": "owner", "id": "p", "run": 2}
    payload = {"pipeline": run, "step": "a", "index": 0, "attempt": 1, "token": "another"}

    again = world.states.tasks.start(ticket(payload), now())

    before = world.tasks.get(task.key)
    assert before is not None
    assert (before.status, again.status) == (TaskStatus.CANCELLED, TaskStatus.QUEUED)


def test_an_execution_that_was_stopped_before_it_began_ends_nothing() -> None:
    world = World()
    ends = PipelineEnds(world.store, world.states.tasks.starts, patience=0.0)

    assert ends.on_execution({"status": "ABORTED", "name": "x", "input": "{}"}, now()) is None


def test_a_pipeline_whose_execution_cannot_be_started_fails() -> None:
    world = World()
    desk = PipelineDesk(world.states.submissions, NoExecutions(broken=True))

    with pytest.raises(RuntimeError):
        desk.submit({"id": "p", "steps": [STEP]}, "owner", now())

    assert desk.get("owner", "p").status is PipelineStatus.FAILED


def test_the_same_body_again_starts_the_same_run_and_a_retry_another() -> None:
    world = World()
    executions = NoExecutions()
    desk = PipelineDesk(world.states.submissions, executions)
    for _ in range(2):
        pipeline = desk.submit({"id": "p", "steps": [STEP]}, "owner", now())
    desk.cancel(pipeline, now())

    desk.retry(desk.get("owner", "p"), now())

    assert executions.started == [("p", 1), ("p", 1), ("p", 2)]
    assert [it.status for it in desk.detail(desk.get("owner", "p")).steps] == ["waiting"]


def test_what_is_told_of_and_what_is_not() -> None:
    world = World()
    pipeline, _ = running(world)
    record = world.store.steps(pipeline.key)["a"]

    assert is_news(None, pipeline)
    assert not is_news(pipeline, pipeline)
    assert is_news(pipeline, pipeline.model_copy(update={"run": 2}))
    assert is_news(None, record)
    assert not is_news(record, record.model_copy(update={"status": StepStatus.SKIPPED}))
    assert PipelineEvent.of(pipeline).event_id == PipelineEvent.of(pipeline).event_id
    assert StepEvent.of(pipeline.key, record).detail_type == "StepStarted"
    other = StepRecord(id="b", status=record.status, started_at=record.started_at)
    assert StepEvent.of(pipeline.key, record).event_id != StepEvent.of(pipeline.key, other).event_id


def test_a_webhook_hears_of_the_ends_that_it_asked_for() -> None:
    world = World()
    webhook = {"url": "https://example.com/x", "events": ["pipeline.failed"]}
    pipeline, _ = running(world, webhook=webhook)

    assert pipeline_notice(pipeline, now()) is None
    assert pipeline_notice(pipeline.model_copy(update={"status": PipelineStatus.SUCCEEDED}), now()) is None
    notice = pipeline_notice(pipeline.model_copy(update={"status": PipelineStatus.FAILED}), now())
    assert notice is not None
    assert (notice.type, notice.url, notice.task) == ("pipeline.failed", "https://example.com/x", "p")


@pytest.mark.parametrize("url", ["http://example.com/x", "0", "https://x:y@example.com", "https://" + "x" * 3000])
def test_a_webhook_that_can_never_be_delivered_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        running(World(), webhook={"url": url})

    assert [fault.field for fault in caught.value.fields] == ["webhook.url"]


class Beaten:
    """A `Beats` that remembers."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def beat(self, token: str) -> bool:
        self.tokens.append(token)
        return token != "unknown"


def test_a_waiting_task_and_a_held_one_are_alive_and_a_silent_or_ended_one_is_not() -> None:
    _, task = running(World())
    lease = {"status": TaskStatus.RUNNING, "lease_until": now() + timedelta(seconds=9)}
    held = task.model_copy(update={**lease, "task_token": "held"})
    silent = task.model_copy(update={**lease, "lease_until": now(), "task_token": "silent"})
    over = task.model_copy(update={"status": TaskStatus.FAILED, "task_token": "over"})
    other = task.model_copy(update={"task_token": None})
    beaten = Beaten()

    made = beat_all([task, held, silent, over, other], beaten, InMemoryTaskStore(), now())

    assert beaten.tokens == ["t", "held"]
    assert (len(made.told), made.orphans) == (2, [])


@pytest.mark.parametrize(
    ("age", "status"),
    [
        pytest.param(timedelta(minutes=6), TaskStatus.CANCELLED, id="nobody waits for it"),
        pytest.param(timedelta(minutes=4), TaskStatus.QUEUED, id="its state may not wait yet"),
    ],
)
def test_a_task_that_no_state_machine_waits_for_is_cancelled_once_it_is_no_child(
    age: timedelta, status: TaskStatus
) -> None:
    world = World()
    _, task = running(world)
    orphan = task.model_copy(update={"task_token": "unknown"})

    beat_all([orphan], Beaten(), world.tasks, task.created_at + age)

    found = world.tasks.get(task.key)
    assert found is not None
    assert found.status is status
