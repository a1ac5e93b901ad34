"""What all tests share: a task to start from."""

import gc
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from darkroom.tasks import Task, TaskType

# How long an example takes says how busy the machine is, nothing else.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# Otherwise moto makes its 650 machine images anew for each test with EC2, and never forgets them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # noqa: TID251  moto has no other switch

# A quarter of the tests' time went into going through all objects again and again, for garbage.
gc.set_threshold(20_000)

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests on the whole local cloud: one that takes minutes must not be the last."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.fixture
def start() -> datetime:
    """When the task was created."""
    return START


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """A queued task; keyword arguments change it."""

    def make(**changes: Any) -> Task:
        fields = {
            "owner": "key1",
            "id": "test-t2i",
            "runtime": "sdruntime",
            "type": TaskType.TEXT_TO_IMAGE,
            "prefix": "output",
            "output_location": "s3://bucket/output/test-t2i",
            "fingerprint": "f1",
            "created_at": START,
            "expires_at": START + timedelta(hours=1),
            "content": {"prompt": "A dog", "cfg_scale": 7.5},
            "context": {"abc": 123},
        }
        return Task(**(fields | changes))

    return make
