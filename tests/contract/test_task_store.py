"""One suite for every `TaskStore`: what the domain may rely on."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import START

from darkroom import tasks
from darkroom.attempts import Outcome, attempts_of
from darkroom.aws import task_pages
from darkroom.errors import TaskConflictError, TransitionRefusedError
from darkroom.listings import Position, TaskFilter
from darkroom.outputs import OutputOptions
from darkroom.ports import TaskStore
from darkroom.tasks import (
    HistoryEntry,
    Mark,
    Refusal,
    Task,
    TaskError,
    TaskKey,
    TaskStatus,
    TaskType,
    Timings,
)
from darkroom.webhooks import Webhook

MakeTask = Callable[..., Task]
LEASE = timedelta(seconds=60)


def refusal(store: TaskStore, task: Task, change: tasks.Change) -> Refusal:
    with pytest.raises(TransitionRefusedError) as caught:
        store.apply(task.key, change)
    return caught.value.refusal


def test_a_task_is_read_as_it_was_written(store: TaskStore, make_task: MakeTask, start: datetime) -> None:
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
        pipeline_id="p1",
        priority="high",
        webhook=Webhook(url="https://example.com/hook", secret_ref="s"),
        output=OutputOptions(format="webp", quality=80, strip_metadata=True),
        preview="s3://b/preview.png",
        history=(HistoryEntry(mark=Mark.RELEASED, at=start, error=TaskError(type="t", message="m")),),
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


def test_where_nothing_may_be_replaced_an_ended_task_answers_like_an_unfinished_one(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task(), replace=False).key
    ended = store.apply(key, tasks.cancel(start))

    again = store.submit(make_task(created_at=start + timedelta(seconds=5)), replace=False)
    with pytest.raises(TaskConflictError):
        store.submit(make_task(fingerprint="f2"), replace=False)

    assert again == ended == store.get(key)


def test_a_claim_takes_the_task_and_returns_all_of_it(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    task = store.submit(make_task())

    claimed = store.apply(task.key, tasks.claim(start, LEASE, task.created_at))

    assert claimed == task.model_copy(
        update={
            "status": TaskStatus.RUNNING,
            "attempt": 1,
            "lease_until": start + LEASE,
            "started_at": start,
            "history": (HistoryEntry(mark=Mark.CLAIMED, at=start),),
        }
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


def test_history_tells_of_every_attempt_and_why_it_was_not_the_last(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    lost = TaskError(type="runtime_lost", message="the runtime went away", retryable=True)
    at = [start + n * LEASE for n in range(6)]
    store.apply(key, tasks.claim(at[0], LEASE))
    store.apply(key, tasks.release(at[0], 1, lost))
    store.apply(key, tasks.claim(at[1], LEASE))
    store.apply(key, tasks.claim(at[2], LEASE))  # the second one's lease has run out
    store.apply(key, tasks.requeue(at[3]))
    store.apply(key, tasks.claim(at[4], LEASE))

    task = store.apply(key, tasks.fail(at[5], 4, TaskError(type="bad", message="no")))

    told = [(a.number, a.outcome, a.error.type if a.error else None, a.ended_at) for a in attempts_of(task)]
    assert told == [
        (1, Outcome.RELEASED, "runtime_lost", at[0]),
        (2, Outcome.LAPSED, "lease_lapsed", at[2]),
        (3, Outcome.LAPSED, "lease_lapsed", at[3]),
        (4, Outcome.FAILED, "bad", at[5]),
    ]
    assert attempts_of(task) == attempts_of(store.get(key) or make_task())


def test_a_new_submission_begins_a_new_history_and_numbers_count_on(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))
    store.apply(key, tasks.cancel(start))
    store.submit(make_task(created_at=start + LEASE))

    task = store.apply(key, tasks.claim(start + LEASE, LEASE))

    assert [(a.number, a.outcome) for a in attempts_of(task)] == [(2, Outcome.RUNNING)]


def test_only_what_has_ended_is_deleted_and_only_the_submission_that_was_meant(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    def refusal_of(submission: datetime) -> Refusal:
        with pytest.raises(TransitionRefusedError) as caught:
            store.delete(task.key, submission)
        return caught.value.refusal

    task = make_task()
    assert refusal_of(start) is Refusal.UNKNOWN
    store.submit(task)
    assert refusal_of(start) is Refusal.UNFINISHED
    store.apply(task.key, tasks.cancel(start))
    assert refusal_of(start + LEASE) is Refusal.REPLACED

    store.delete(task.key, start)

    assert store.get(task.key) is None


def test_a_late_result_does_not_revive_a_deleted_task_nor_end_its_successor(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    key = store.submit(make_task()).key
    store.apply(key, tasks.claim(start, LEASE))
    store.apply(key, tasks.cancel(start))
    store.delete(key, start)
    late = replace(tasks.succeed(start, 1, images=(), output_url=None, timings=None), submission=start)

    assert refusal(store, make_task(), late) is Refusal.UNKNOWN
    store.submit(make_task(created_at=start + LEASE))
    store.apply(key, tasks.claim(start + LEASE, LEASE))
    assert refusal(store, make_task(), late) is Refusal.REPLACED


def listed(store: TaskStore, limit: int = 100, **which: Any) -> tuple[list[str], bool]:
    page = store.page("key1", TaskFilter(**which), limit)
    return [task.id for task in page.tasks], page.more


def test_a_list_is_newest_first_and_its_owners_own(store: TaskStore, make_task: MakeTask, start: datetime) -> None:
    for number in (2, 0, 1):
        store.submit(make_task(id=f"t{number}", created_at=start + number * LEASE))
    store.submit(make_task(id="same-moment", created_at=start))
    store.submit(make_task(id="foreign", owner="key2"))

    assert listed(store) == (["t2", "t1", "t0", "same-moment"], False)


def test_pages_are_full_and_stay_in_step_while_tasks_are_added(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    for number in range(7):
        store.submit(make_task(id=f"t{number}", created_at=start + number * LEASE))
    seen, after, more = [], None, True
    while more:
        page = store.page("key1", TaskFilter(), 3, after)
        seen.append([task.id for task in page.tasks])
        after, more = Position.of(page.tasks[-1]), page.more
        store.submit(make_task(id=f"new{len(seen)}", created_at=start + (10 + len(seen)) * LEASE))

    assert seen == [["t6", "t5", "t4"], ["t3", "t2", "t1"], ["t0"]]


def test_a_filtered_page_is_full_however_far_apart_its_tasks_lie(
    store: TaskStore, make_task: MakeTask, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pages, "_FILTERED", 7)  # entries of the index that one query looks through
    for number in range(40):
        runtime = "rare" if number % 13 == 0 else "sdruntime"
        store.submit(make_task(id=f"t{number}", created_at=start + number * LEASE, runtime=runtime))

    assert listed(store, limit=3, runtime="rare") == (["t39", "t26", "t13"], True)
    assert listed(store, limit=4, runtime="rare") == (["t39", "t26", "t13", "t0"], False)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        pytest.param({"status": {"cancelled"}}, ["b"], id="status"),
        pytest.param({"status": {"cancelled", "queued"}}, ["c", "b", "a"], id="one of two statuses"),
        pytest.param({"type": {"image-to-image"}}, ["c"], id="type"),
        pytest.param({"runtime": "other"}, ["b"], id="runtime"),
        pytest.param({"model": "m.safetensors"}, ["c"], id="model"),
        pytest.param({"pipeline": "p1"}, ["a"], id="pipeline"),
        pytest.param({"since": START + LEASE}, ["c", "b"], id="since, inclusive"),
        pytest.param({"until": START + LEASE}, ["a"], id="until, exclusive"),
        pytest.param({"since": START + LEASE, "until": START + LEASE}, [], id="an empty time"),
        pytest.param({"since": START + 9 * LEASE, "until": START}, [], id="a time that is none"),
        pytest.param({"status": {"queued"}, "model": "m.safetensors", "since": START}, ["c"], id="all at once"),
    ],
)
def test_a_list_holds_what_fits_its_filter(
    store: TaskStore, make_task: MakeTask, start: datetime, which: dict[str, Any], expected: list[str]
) -> None:
    store.submit(make_task(id="a", pipeline_id="p1"))
    store.submit(make_task(id="b", created_at=start + LEASE, runtime="other"))
    store.apply(TaskKey("key1", "b"), tasks.cancel(start))
    store.submit(
        make_task(id="c", created_at=start + 2 * LEASE, type=TaskType.IMAGE_TO_IMAGE, model="m.safetensors")
    )

    assert listed(store, **which) == (expected, False)


def test_a_list_shows_everything_but_contents(store: TaskStore, make_task: MakeTask) -> None:
    task = store.submit(make_task())

    assert store.page("key1", TaskFilter(), 1).tasks == (task.model_copy(update={"content": None}),)


def test_the_oldest_task_that_waits_for_a_runtime_is_found(
    store: TaskStore, make_task: MakeTask, start: datetime
) -> None:
    for number, name in enumerate(("running", "oldest", "younger")):
        store.submit(make_task(id=name, expires_at=start + timedelta(hours=1 + number)))
    store.submit(make_task(id="elsewhere", runtime="other", expires_at=start + timedelta(minutes=30)))
    store.apply(TaskKey("key1", "running"), tasks.claim(start, LEASE))

    oldest = store.oldest("sdruntime")

    assert oldest is not None
    assert oldest.id == "oldest"
    assert store.oldest("idle") is None
