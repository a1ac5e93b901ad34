"""A pipeline's run and its life, as the table of pipelines holds it.

A run is one header (`Pipeline`), one record for each step that has begun (`StepRecord`), and one for each task of a
step (`Assignment`). The document and the results are files, since they may be large: `Pipeline.folder` is theirs.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Any, NamedTuple

from pydantic import Field

from darkroom.models import JsonObject, Model, Timestamp, to_text
from darkroom.tasks import TaskError, TaskKey, TaskStatus

SHARED_OWNER = "account"
"""Who owns the pipelines that were started at Step Functions itself: every API key may see them."""


class PipelineStatus(StrEnum):
    """Where a pipeline is in its life."""

    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()

    @property
    def ended(self) -> bool:
        """True where nothing more will be started."""
        return self is not PipelineStatus.RUNNING


class StepStatus(StrEnum):
    """Where a step is in its life."""

    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    SKIPPED = auto()
    CANCELLED = auto()

    @property
    def ended(self) -> bool:
        """True where the step is done with."""
        return self is not StepStatus.RUNNING


class PipelineKey(NamedTuple):
    """What names a pipeline: ids are an owner's own."""

    owner: str
    id: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.id}"


class Pipeline(Model):
    """One run of a document. `run` counts its executions: one more with each retry.

    `images` are the first hundred of the result; `result` links to all of them.
    """

    owner: str
    id: str
    name: str
    fingerprint: str
    folder: str
    created_at: Timestamp
    started_at: Timestamp
    expires_at: Timestamp
    finished_at: Timestamp | None = None
    status: PipelineStatus = PipelineStatus.RUNNING
    run: int = 1
    error: TaskError | None = None
    images: tuple[str, ...] = ()
    context: Any = Field(default_factory=dict)
    webhook: Any = None
    definition: str | None = None

    @property
    def key(self) -> PipelineKey:
        """What names the pipeline."""
        return PipelineKey(self.owner, self.id)

    @property
    def document(self) -> str:
        """The link of the document with the run's inputs."""
        return f"{self.folder}/document.json"

    def result_of(self, step: str) -> str:
        """The link of a step's result."""
        return f"{self.folder}/results/{step}.json"

    @property
    def result(self) -> str:
        """The link of the pipeline's result."""
        return f"{self.folder}/result.json"

    @property
    def execution_name(self) -> str:
        """What the execution of the present run is called: 80 characters at most, not used again for 90 days."""
        life = f"{self.key} {to_text(self.created_at)} {self.run}"
        readable = re.sub(r"[^A-Za-z0-9_-]", "-", self.id[:48])
        return f"{readable}-{hashlib.sha256(life.encode()).hexdigest()[:16]}"

    @property
    def position(self) -> str:
        """Its place in lists by time, where many may begin in one millisecond."""
        return f"{to_text(self.created_at)} {self.id}"


@dataclass(frozen=True)
class End:
    """What is written when a run ends."""

    now: datetime
    status: PipelineStatus
    error: TaskError | None = None
    images: tuple[str, ...] = ()

    @property
    def values(self) -> JsonObject:
        """The fields that change."""
        return {"status": self.status, "finished_at": self.now, "error": self.error, "images": self.images}


class StepRecord(Model):
    """How a step stands. `items` counts its tasks, of which `done` have ended; `run` is the one it began in."""

    id: str
    status: StepStatus
    run: int = 1
    items: int = 1
    each: bool = False
    done: int = 0
    images: int = 0
    started_at: Timestamp
    finished_at: Timestamp | None = None
    error: TaskError | None = None


class Assignment(Model):
    """Which task works at an item of a step. `task` is absent where none could be started; `error` says why.

    `error` is also there where the item's last try is judged.
    """

    step: str
    index: int = 0
    run: int = 1
    attempt: int = 1
    task: str | None = None
    error: TaskError | None = None

    def key(self, owner: str) -> TaskKey | None:
        """What names the task, if there is one."""
        return None if self.task is None else TaskKey(owner, self.task)


class ItemResult(Model):
    """What came of one item."""

    status: TaskStatus
    images: tuple[str, ...] = ()
    output_url: str | None = None
    error: TaskError | None = None


class StepResult(Model):
    """What came of a step, for the steps after it and for the caller. `each` tells a list from one item."""

    id: str
    status: StepStatus
    each: bool = False
    items: tuple[ItemResult, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """All images, in the order of the items."""
        return tuple(image for item in self.items for image in item.images)

    @property
    def there(self) -> bool:
        """False where later steps have nothing to build on."""
        return self.status is StepStatus.SUCCEEDED or any(it.status is TaskStatus.SUCCEEDED for it in self.items)


def restarted(pipeline: Pipeline, now: datetime, expires_at: datetime) -> Pipeline:
    """The pipeline in its next run."""
    return pipeline.model_copy(
        update={
            "status": PipelineStatus.RUNNING,
            "run": pipeline.run + 1,
            "started_at": now,
            "expires_at": expires_at,
            "finished_at": None,
            "error": None,
        }
    )


def first_error(results: Iterable[ItemResult]) -> TaskError | None:
    """The error of the first item that has one."""
    return next((item.error for item in results if item.error is not None), None)
