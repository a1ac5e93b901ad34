"""What the API says of pipelines."""

from typing import Any, Literal, Self

from darkroom.models import JsonObject, LateModel, Timestamp
from darkroom.pipelines import Pipeline, PipelineStatus, StepStatus
from darkroom.tasks import TaskError


class PipelineSummary(LateModel):
    """A pipeline. `images` are the first hundred of its result."""

    id: str
    name: str
    status: PipelineStatus
    run: int
    definition: str | None
    context: Any
    images: tuple[str, ...]
    error: TaskError | None
    created_at: Timestamp
    started_at: Timestamp
    finished_at: Timestamp | None
    expires_at: Timestamp

    @classmethod
    def of(cls, pipeline: Pipeline, **more: Any) -> Self:  # noqa: ANN401  what a subclass has beside
        """The pipeline as its owner sees it."""
        return cls(**cls.shared_with(pipeline), **more)


class StepView(LateModel):
    """A step of a pipeline. With `foreach`, `items` counts its tasks and `done` those that have ended."""

    id: str
    runtime: str
    type: str
    needs: tuple[str, ...]
    status: StepStatus | Literal["waiting"]
    items: int = 1
    done: int = 0
    images: int = 0
    progress: float = 0
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    error: TaskError | None = None


class PipelineDetails(PipelineSummary):
    """A pipeline, with its inputs and how its steps stand. `result` links to all images of one that succeeded."""

    inputs: JsonObject
    steps: tuple[StepView, ...]
    result: str | None


class PipelineList(LateModel):
    """A page of pipelines, the newest first. `next_cursor` is null on the last page."""

    items: tuple[PipelineSummary, ...]
    next_cursor: str | None


class PipelineCheck(LateModel):
    """A document that could be run: its name, and its steps in their order."""

    valid: Literal[True] = True
    name: str
    steps: tuple[str, ...]


class DefinitionName(LateModel):
    """A saved pipeline, and its latest version."""

    name: str
    version: int


class DefinitionList(LateModel):
    """The saved pipelines."""

    items: tuple[DefinitionName, ...]


class DefinitionDetails(DefinitionName):
    """A version of a saved pipeline, and its document."""

    document: JsonObject
