"""Real servers on loopback for the adapters' contracts."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import boto3
import pytest
from tests.pipelines.machines import Machines, running_machines
from tests.templates import template

from darkroom.aws.task_store import DynamoTaskStore
from darkroom.ports import TaskStore
from darkroom.testing import InMemoryTaskStore
from darkroom_local.aws.process import run_aws


@pytest.fixture(scope="session")
def aws() -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients that speak to an emulated AWS over HTTP."""
    session = boto3.session.Session("test", "test", region_name="eu-west-1")
    with run_aws() as url:
        yield partial(session.client, endpoint_url=url)


@pytest.fixture
def dynamo_store(aws: Callable[..., Any]) -> DynamoTaskStore:
    """An empty table exactly as the template declares it."""
    declared = template("template")["Resources"]["TasksTable"]["Properties"]
    create = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}
    client, name = aws("dynamodb"), f"tasks-{uuid4().hex}"
    client.create_table(TableName=name, **{key: declared[key] for key in create})
    return DynamoTaskStore(client, name)


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> TaskStore:
    """Each store in turn, empty."""
    memory = request.param == "memory"
    return InMemoryTaskStore() if memory else request.getfixturevalue("dynamo_store")


@pytest.fixture(scope="session")
def machines(aws: Callable[..., Any]) -> Iterator[Machines]:
    """Our state machines on an engine that is not ours."""
    with running_machines(aws("stepfunctions")) as running:
        yield running
