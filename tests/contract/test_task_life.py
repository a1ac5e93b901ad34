"""Whatever happens to a task, in whatever order: it keeps to its rules and ends once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom import tasks
from darkroom.attempts import Outcome, attempts_of
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.errors import TransitionRefusedError
from darkroom.events import news
from darkroom.ports import TaskStore
from darkroom.tasks import (
    OPEN,
    RULES,
    Action,
    Change,
    Guard,
    Refusal,
    Task,
    TaskError,
    TaskStatus,
    TaskType,
)
from darkroom.testing import InMemoryTaskStore

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
ERROR = TaskError(type="t", message="m")
LEASE = timedelta(seconds=60)
DEADLINE = timedelta(seconds=200)

seconds = st.integers(0, 300).map(lambda s: timedelta(seconds=s))
attempts = st.integers(0, 5)
changes = st.one_of(
    st.builds(lambda at: tasks.claim(START + at, LEASE), seconds),
    st.builds(lambda at, n: tasks.extend(START + at, n, LEASE, 0.5), seconds, attempts),
    st.builds(lambda at, n: tasks.release(START + at, n, ERROR), seconds, attempts),
    st.builds(lambda at: tasks.requeue(START + at), seconds),
    st.builds(
        lambda at, n: tasks.succeed(START + at, n, images=("i",), output_url="o", timings=None), seconds, attempts
    ),
    st.builds(lambda at, n: tasks.fail(START + at, n, ERROR), seconds, attempts),
    st.builds(lambda at: tasks.bury(START + at, ERROR), seconds),
    st.builds(lambda at: tasks.cancel(START + at), seconds),
    st.builds(lambda at: tasks.expire(START + at), seconds),
)


def queued(id_: str = "a") -> Task:
    return Task(
        owner="key1",
        id=id_,
        runtime="r",
        type=TaskType.TEXT_TO_IMAGE,
        prefix="p",
        output_location="s3://b/p/a",
        fingerprint="f",
        created_at=START,
        expires_at=START + DEADLINE,
        content={},
    )


def submitted() -> tuple[InMemoryTaskStore, Task]:
    store = InMemoryTaskStore()
    return store, store.submit(queued())


def apply(store: InMemoryTaskStore, change: Change) -> Task | None:
    try:
        return store.apply(queued().key, change)
    except TransitionRefusedError:
        return None


@given(st.lists(changes, max_size=40))
def test_any_sequence_of_changes_keeps_to_the_rules_and_ends_the_task_at_most_once(sequence: list[Change]) -> None:
    store, before = submitted()
    ends = 0
    for change in sequence:
        after = apply(store, change)
        if after is None:
            assert store.get(queued().key) == before
            continue
        rule = RULES[change.action]
        assert before.status in rule.sources
        assert after.status is rule.target
        if Guard.FENCED in rule.guards:
            assert change.attempt == before.attempt
        if Guard.LAPSED in rule.guards:
            assert before.lease_until is None or before.lease_until <= change.now
        assert after.attempt == before.attempt + (change.action is Action.CLAIM)
        assert after.history[: len(before.history)] == before.history
        attempts = attempts_of(after)
        assert [attempt.number for attempt in attempts] == list(range(1, after.attempt + 1))
        assert [attempt.number for attempt in attempts if attempt.outcome is Outcome.RUNNING] == (
            [after.attempt] if after.status is TaskStatus.RUNNING else []
        )
        ends += news(before, after).ended
        before = after
    assert ends == (1 if before.status.ended else 0)


@given(st.lists(changes, max_size=20), st.permutations(range(20)))
def test_changes_that_come_twice_and_out_of_order_end_the_task_at_most_once(
    sequence: list[Change], order: list[int]
) -> None:
    store, _ = submitted()
    shuffled = sequence + [sequence[i] for i in order if i < len(sequence)]
    ends = [after for change in shuffled if (after := apply(store, change)) is not None and after.status.ended]
    assert len(ends) <= 1
    assert not ends or store.get(queued().key) == ends[0]


@given(st.lists(changes, max_size=40))
def test_two_attempts_never_hold_the_task_at_one_time(sequence: list[Change]) -> None:
    store, task = submitted()
    clock = START
    for change in sorted(sequence, key=lambda c: c.now):
        clock = max(clock, change.now)
        held = task.status is TaskStatus.RUNNING and task.lease_until is not None and task.lease_until > clock
        after = apply(store, change)
        if after is not None and change.action is Action.CLAIM:
            assert not held
        task = after or task


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(changes, min_size=5, max_size=15))
def test_dynamodb_judges_every_change_as_the_rules_in_memory_do(
    dynamo_store: DynamoTaskStore, sequence: list[Change]
) -> None:
    def outcome(store: TaskStore, change: Change) -> Task | Refusal:
        try:
            return store.apply(task.key, change)
        except TransitionRefusedError as refused:
            return refused.refusal

    task = queued(uuid4().hex)
    memory = InMemoryTaskStore()
    assert memory.submit(task) == dynamo_store.submit(task)
    for change in sequence:
        assert outcome(memory, change) == outcome(dynamo_store, change)
    assert memory.get(task.key) == dynamo_store.get(task.key)


def test_every_status_is_reached_by_a_rule_and_every_open_one_can_be_left() -> None:
    assert {rule.target for rule in RULES.values()} == set(TaskStatus)
    assert set(OPEN) <= {source for rule in RULES.values() for source in rule.sources if rule.target not in OPEN}
    assert set(RULES) == set(Action)


def test_a_repr_keeps_the_task_token_to_itself(make_task: Callable[..., Task]) -> None:
    assert "secret" not in repr(make_task(task_token="secret"))
