"""What pipelines need of the world beside the ports of tasks."""

from datetime import datetime
from typing import Protocol

from darkroom.models import JsonObject
from darkroom.pipelines import Assignment, End, Pipeline, PipelineKey, StepRecord


class PipelineStore(Protocol):
    """The pipelines, and the truth about them."""

    def create(self, pipeline: Pipeline) -> Pipeline:
        """Add a pipeline. Where there is one of that id with the same fingerprint, that one is returned.

        Raises:
            PipelineConflictError: there is another one of that id.
        """

    def get(self, key: PipelineKey) -> Pipeline | None:
        """The pipeline as it is now, or None."""

    def page(self, owner: str, limit: int, before: str | None = None) -> list[Pipeline]:
        """The owner's pipelines, newest first, of a `Pipeline.position` before that. An index may lag."""

    def end(self, key: PipelineKey, run: int, end: End) -> bool:
        """End a run. Returns False where it has ended before, or another run is on."""

    def restart(self, key: PipelineKey, now: datetime, expires_at: datetime) -> Pipeline:
        """Begin another run of a pipeline that failed or was cancelled.

        Raises:
            PipelineNotFoundError: there is none.
            PipelineStateError: it runs, or has succeeded.
        """

    def put_step(self, key: PipelineKey, record: StepRecord) -> None:
        """Write how a step stands."""

    def steps(self, key: PipelineKey) -> dict[str, StepRecord]:
        """The steps that have begun, by id."""

    def put_assignment(self, key: PipelineKey, assignment: Assignment) -> None:
        """Write which task works at an item."""

    def assignment(self, key: PipelineKey, step: str, index: int) -> Assignment | None:
        """Which task works, or worked last, at one item."""

    def assignments(self, key: PipelineKey, step: str | None = None) -> list[Assignment]:
        """Which tasks work at a step's items, or at all, by index."""


class DefinitionStore(Protocol):
    """Saved documents by name and version."""

    def save(self, owner: str, name: str, document: JsonObject, now: datetime) -> int:
        """Keep a document as the next version of that name, and return its number.

        The same document as the latest version's is not kept twice.
        """

    def load(self, owner: str, name: str, version: int | None = None) -> tuple[int, JsonObject]:
        """A version of a document, or the latest, with its number.

        Raises:
            DefinitionNotFoundError: there is none.
        """

    def names(self, owner: str) -> dict[str, int]:
        """The latest version of every name."""


class Executions(Protocol):
    """The state machine that runs pipelines."""

    def start(self, pipeline: Pipeline) -> str:
        """Start the pipeline's present run and return the execution's ARN. A second time changes nothing."""
