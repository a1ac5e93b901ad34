"""The files of a pipeline: its document and inputs, and its steps' results. Only links to them travel."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from darkroom.documents import Document
from darkroom.models import JsonObject
from darkroom.pipelines import Assignment, ItemResult, Pipeline, StepResult
from darkroom.ports import BlobStore, TaskStore
from darkroom.references import Json
from darkroom.scopes import Scope
from darkroom.tasks import Task, TaskError, TaskStatus

_JSON = "application/json"
_MAX_OUTPUT = 16 * 1024 * 1024  # bytes of a runtime's answer, its images taken out


@dataclass(frozen=True)
class PipelineFiles:
    """Reads and writes them, and looks up what became of tasks."""

    blobs: BlobStore
    tasks: TaskStore

    def save(self, pipeline: Pipeline, document: Document, inputs: JsonObject) -> None:
        """Keep what a run is to do."""
        body = {"document": document.model_dump(mode="json"), "inputs": inputs}
        self.blobs.put(pipeline.document, json.dumps(body).encode(), _JSON)

    def load(self, pipeline: Pipeline) -> tuple[Document, JsonObject]:
        """What a run is to do, and its inputs."""
        body = json.loads(self.blobs.get(pipeline.document))
        return Document.model_validate(body["document"]), body["inputs"]

    def put_result(self, pipeline: Pipeline, result: StepResult) -> None:
        """Keep a step's result."""
        self.blobs.put(pipeline.result_of(result.id), result.to_json().encode(), _JSON)

    def result(self, pipeline: Pipeline, step: str) -> StepResult:
        """A step's result.

        Raises:
            FileNotFoundError: it has not ended.
        """
        return StepResult.model_validate_json(self.blobs.get(pipeline.result_of(step)))

    def put_images(self, pipeline: Pipeline, images: list[str]) -> None:
        """Keep the list of a pipeline's images, however long it is."""
        self.blobs.put(pipeline.result, json.dumps({"images": images}).encode(), _JSON)

    def scope(self, pipeline: Pipeline, inputs: JsonObject, *, lenient: bool = False, **item: Json) -> Scope:
        """What references find; `item` and `index` name the item at hand."""
        return Scope(
            inputs=inputs,
            results=cache(lambda step: self.result(pipeline, step)),
            read_output=lambda link: self.blobs.get(link, _MAX_OUTPUT),
            lenient=lenient,
            **item,
        )

    def task(self, assignment: Assignment, owner: str) -> Task | None:
        """The task that works at an item."""
        key = assignment.key(owner)
        return None if key is None else self.tasks.get(key)

    def succeeded(self, assignments: Iterable[Assignment], owner: str) -> set[int]:
        """The indices of the items whose tasks have succeeded."""
        found = {it.index: self.task(it, owner) for it in assignments}
        return {index for index, task in found.items() if task and task.status is TaskStatus.SUCCEEDED}

    def item_result(self, assignment: Assignment, owner: str) -> ItemResult:
        """What came of an item: its task's end, or why there was no task."""
        task = self.task(assignment, owner)
        if task is not None and task.status is TaskStatus.SUCCEEDED:
            return ItemResult(status=task.status, images=task.images, output_url=task.output_url)
        error = assignment.error or (task.error if task is not None else None)
        unknown = TaskError(type="lost", message="the task did not end", retryable=True)
        status = task.status if task is not None and task.status.ended else TaskStatus.FAILED
        return ItemResult(status=status, error=error or unknown)
