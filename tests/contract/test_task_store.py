"""One suite for every `TaskStore`: what the domain may rely on."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from darkroom import tasks
from darkroom.errors import TaskConflictError, TransitionRefusedError
from darkroom.ports import TaskStore
from darkroom.tasks import Refusal, Task, TaskError, TaskKey, TaskStatus, Timings

MakeTask = Callable[..., Task]
LEASE = timedelta(seconds=60)


def refusal(store: TaskStore, task: Task, change: tasks.Change) -> Refusal:
    with pytest.raises(TransitionRefusedError) as caught:
        store.apply(task.key, change)
    return caught.value.refusal


def test_a_task_is_read_as_it_was_written(store: TaskStore, make_task: MakeTask) -> None:
    task = make_task(
        content={"f": 1.5e-300, "i": 10**30, "z": -0.0, "empty": "", "nested": [{"a": None}, True], "ünï": "✓"},
        context="",
        model="m.safetensors",
        task_token="token",
        routed_by_model=True,
        status=TaskStatus.SUCCEEDED,
        attempt=3,
        progress=0.25,
        images=("s3://b/a.png",),
        error=TaskError(type="t", message="m", retryable=True),
        timings=Timings(download=0.1, run=2, upload=0.3),
    )

    store.submit(task)

    assert store.get(task.key) == task


def test_an_unknown_task_is_none_and_refuses_changes_as_unknown(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    assert store.get(TaskKey("key1", "nothing")) is None
    assert refusal(store, make_task(), tasks.cancel(start)) is Refusal.UNKNOWN


def test_owners_do_not_share_ids(store: TaskStore, make_task: MakeTask) -> None:
    store.submit(make_task(owner="key1"))
    store.submit(make_task(owner="key2", fingerprint="other"))

    assert store.get(TaskKey("key2", "test-t2i")) == make_task(owner="key2", fingerprint="other")


def test_the_same_body_again_while_unfinished_answers_the_first_task(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    first = store.submit(make_task())

    again = store.submit(make_task(created_at=start + timedelta(seconds=5)))

    assert again == first == store.get(first.key)


def test_another_body_while_unfinished_is_a_conflict(store: TaskStore, make_task: MakeTask) -> None:
    first = store.submit(make_task())

    with pytest.raises(TaskConflictError):
        store.submit(make_task(fingerprint="f2"))

    assert store.get(first.key) == first


def test_an_ended_task_is_replaced_and_its_attempts_count_on(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))
    store.apply(key, tasks.succeed(start, 1, images=("s3://b/old.png",), output_url=None, timings=None))

    anew = store.submit(make_task(created_at=start + timedelta(minutes=1), fingerprint="f2"))

    assert anew == make_task(created_at=start + timedelta(minutes=1), fingerprint="f2", attempt=1)
    assert store.get(key) == anew
    assert store.apply(key, tasks.claim(start, LEASE)).attempt == 2


def test_a_claim_takes_the_task_and_returns_all_of_it(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())

    claimed = store.apply(task.key, tasks.claim(start, LEASE, task.created_at))

    assert claimed == task.model_copy(
        update={"status": TaskStatus.RUNNING, "attempt": 1, "lease_until": start + LEASE, "started_at": start}
    )
    assert store.get(task.key) == claimed


def test_a_leased_task_cannot_be_claimed_until_its_lease_runs_out(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))

    assert refusal(store, make_task(), tasks.claim(start + LEASE - timedelta(seconds=1), LEASE)) is Refusal.LEASED
    assert store.apply(key, tasks.claim(start + LEASE, LEASE)).attempt == 2


def test_a_late_attempt_is_refused_whatever_it_says(store: TaskStore, make_task: MakeTask, start: datetime) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))
    store.apply(key, tasks.claim(start + LEASE, LEASE))
    late: list[tasks.Change] = [
        tasks.extend(start, 1, LEASE),
        tasks.release(start, 1),
        tasks.succeed(start, 1, images=(), output_url=None, timings=None),
        tasks.fail(start, 1, TaskError(type="t", message="m")),
    ]

    assert [refusal(store, make_task(), change) for change in late] == [Refusal.SUPERSEDED] * 4
    assert store.apply(key, tasks.extend(start, 2, LEASE, progress=0.5)).progress == 0.5


def test_a_released_task_waits_again_and_remembers_why(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))
    error = TaskError(type="runtime_lost", message="the runtime went away")

    released = store.apply(key, tasks.release(start, 1, error))

    assert (released.status, released.error, released.lease_until) == (TaskStatus.QUEUED, error, None)
    assert released.dispatch == 1
    assert store.apply(key, tasks.claim(start, LEASE)).error is None


def test_a_change_for_an_earlier_submission_is_refused(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    store.submit(make_task())

    assert refusal(store, make_task(), tasks.claim(start, LEASE, start - LEASE)) is Refusal.REPLACED


def test_an_ended_task_stays_as_it_is(store: TaskStore, make_task: MakeTask, start: datetime) -> None:
    key = store.submit(make_task()).key
    ended = store.apply(key, tasks.cancel(start))
    later = start + timedelta(days=1)
    error = TaskError(type="t", message="m")
    changes = [
        tasks.claim(start, LEASE),
        tasks.extend(start, 0, LEASE),
        tasks.release(start, 0),
        tasks.requeue(later),
        tasks.succeed(start, 0, images=(), output_url=None, timings=None),
        tasks.fail(start, 0, error),
        tasks.bury(later, error),
        tasks.cancel(start),
        tasks.expire(later),
    ]

    assert [refusal(store, make_task(), change) for change in changes] == [Refusal.ENDED] * len(changes)
    assert store.get(key) == ended


def test_a_deadline_ends_a_task_and_only_once_it_has_passed(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())

    assert refusal(store, task, tasks.expire(start)) is Refusal.NOT_DUE
    assert refusal(store, task, tasks.claim(task.expires_at, LEASE)) is Refusal.DUE
    assert store.apply(task.key, tasks.expire(task.expires_at)).status is TaskStatus.EXPIRED


def test_of_many_claims_at_once_one_wins(store: TaskStore, make_task: MakeTask, start: datetime) -> None:
    key = store.submit(make_task()).key
    outcomes: list[int | Refusal] = []

    def claim() -> None:
        try:
            outcomes.append(store.apply(key, tasks.claim(start, LEASE)).attempt)
        except TransitionRefusedError as refused:
            outcomes.append(refused.refusal)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes, key=str) == [1, *[Refusal.LEASED] * 7]


def test_due_and_lapsed_tasks_are_found_and_ended_ones_are_not(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    soon = start + timedelta(minutes=1)
    for name in ("waits", "runs", "ended", "late"):
        store.submit(make_task(id=name, expires_at=start + timedelta(hours=2) if name == "late" else soon))
    for name in ("runs", "ended", "late"):
        store.apply(TaskKey("key1", name), tasks.claim(start, timedelta(seconds=10)))
    store.apply(TaskKey("key1", "ended"), tasks.cancel(start))

    assert {task.id for task in store.due(soon)} == {"waits", "runs"}
    assert list(store.due(start)) == []
    assert {task.id for task in store.lapsed(start + timedelta(seconds=11))} == {"runs", "late"}
    assert list(store.lapsed(start + timedelta(seconds=10))) == []
