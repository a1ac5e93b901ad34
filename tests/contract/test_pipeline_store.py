"""One suite for every store of pipelines."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from darkroom.aws.definition_store import DynamoDefinitionStore
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.errors import (
    DefinitionNotFoundError,
    PipelineConflictError,
    PipelineNotFoundError,
    PipelineStateError,
)
from darkroom.models import now
from darkroom.pipeline_ports import DefinitionStore, PipelineStore
from darkroom.pipeline_testing import InMemoryDefinitionStore, InMemoryPipelineStore
from darkroom.pipelines import Assignment, End, Pipeline, PipelineKey, PipelineStatus, StepRecord, StepStatus
from darkroom.tasks import TaskError

KEY = PipelineKey("owner", "p")


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    if request.param == "memory":
        yield InMemoryPipelineStore(), InMemoryDefinitionStore()
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="pipelines",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "listed", "created_at")
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "listed",
                    "KeySchema": [
                        {"AttributeName": "listed", "KeyType": "HASH"},
                        {"AttributeName": "created_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield DynamoPipelineStore(client, "pipelines"), DynamoDefinitionStore(client, "pipelines")


@pytest.fixture
def store(stores: tuple[PipelineStore, DefinitionStore]) -> PipelineStore:
    return stores[0]


@pytest.fixture
def definitions(stores: tuple[PipelineStore, DefinitionStore]) -> DefinitionStore:
    return stores[1]


def pipeline(**more: Any) -> Pipeline:
    time = now()
    known: dict[str, Any] = {
        "owner": "owner",
        "id": "p",
        "name": "n",
        "fingerprint": "f",
        "folder": "s3://b/.pipelines/owner/p",
        "created_at": time,
        "started_at": time,
        "expires_at": time + timedelta(hours=1),
    }
    return Pipeline(**{**known, **more})


def test_a_pipeline_is_read_as_it_was_written_and_the_same_again_changes_nothing(store: PipelineStore) -> None:
    written = pipeline(context={"a": [1]})

    assert store.create(written) == written
    assert store.create(pipeline(context="other")) == written
    assert store.get(KEY) == written
    assert store.get(PipelineKey("other", "p")) is None
    with pytest.raises(PipelineConflictError):
        store.create(pipeline(fingerprint="g"))


def test_a_run_ends_once(store: PipelineStore) -> None:
    store.create(pipeline())
    error = TaskError(type="boom", message="it broke")

    assert not store.end(KEY, 2, End(now(), PipelineStatus.SUCCEEDED))
    assert store.end(KEY, 1, End(now(), PipelineStatus.FAILED, error))
    assert not store.end(KEY, 1, End(now(), PipelineStatus.SUCCEEDED))
    found = store.get(KEY)
    assert found is not None
    assert (found.status, found.error) == (PipelineStatus.FAILED, error)


def test_only_what_ended_without_success_begins_again(store: PipelineStore) -> None:
    with pytest.raises(PipelineNotFoundError):
        store.restart(KEY, now(), now())
    store.create(pipeline())
    with pytest.raises(PipelineStateError):
        store.restart(KEY, now(), now())
    store.end(KEY, 1, End(now(), PipelineStatus.CANCELLED))

    again = store.restart(KEY, now(), now() + timedelta(hours=2))

    assert (again.run, again.status, again.error, again.finished_at) == (2, PipelineStatus.RUNNING, None, None)
    assert store.get(KEY) == again


def test_steps_and_assignments_are_replaced_and_listed_in_order(store: PipelineStore) -> None:
    record = StepRecord(id="a", status=StepStatus.RUNNING, started_at=now())
    store.put_step(KEY, record)
    store.put_step(KEY, record.model_copy(update={"status": StepStatus.SUCCEEDED}))
    for index in (10, 9, 0):
        store.put_assignment(KEY, Assignment(step="a", index=index, task=f"t{index}"))
    store.put_assignment(KEY, Assignment(step="ab", index=0))

    assert {name: it.status for name, it in store.steps(KEY).items()} == {"a": StepStatus.SUCCEEDED}
    assert [it.index for it in store.assignments(KEY, "a")] == [0, 9, 10]
    assert len(store.assignments(KEY)) == 4
    found = store.assignment(KEY, "a", 9)
    assert found is not None
    assert found.task == "t9"
    assert store.assignment(KEY, "a", 1) is None


def test_an_owner_lists_own_pipelines_newest_first_page_by_page(store: PipelineStore) -> None:
    time = now()
    for number in range(3):
        store.create(pipeline(id=f"p{number}", created_at=time + timedelta(seconds=number // 2)))
    store.create(pipeline(owner="other"))

    page = store.page("owner", 2)

    assert [it.id for it in page] == ["p2", "p1"]
    assert [it.id for it in store.page("owner", 2, page[-1].position)] == ["p0"]


def test_a_definition_gets_a_version_for_each_change(definitions: DefinitionStore) -> None:
    assert [definitions.save("owner", "d", {"n": n}, now()) for n in (1, 1, 2, 1)] == [1, 1, 2, 3]
    assert definitions.load("owner", "d") == (3, {"n": 1})
    assert definitions.load("owner", "d", 2) == (2, {"n": 2})
    assert definitions.names("owner") == {"d": 3}
    for owner, name, version in (("owner", "d", 4), ("other", "d", None), ("owner", "e", None)):
        with pytest.raises(DefinitionNotFoundError):
            definitions.load(owner, name, version)
