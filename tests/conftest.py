"""What all tests share: a task to start from."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from darkroom.tasks import Task, TaskType

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


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
